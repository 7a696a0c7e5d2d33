"""UCF101: what its files say is what is listed, or an error names them."""

import os
import re

import pytest

from hdc_jax.data import sources
from hdc_jax.data.clips import evaluation_clips
from hdc_jax.data.clips.placement import FixedPlacement
from hdc_jax.data.datasets import DATASETS, Request, ucf101
from hdc_jax.data.options import Loading
from hdc_jax.errors import DataError
from hdc_jax.prepare import command as prepare
from tests import layouts
from tests.layouts import edit, remove

EYE, BALL, HAND = "ApplyEyeMakeup", "Basketball", "HandstandPushups"


@pytest.fixture
def made(tmp_path):
  """Empty files: listing does not open them."""
  return layouts.ucf101(tmp_path, frames=0)


def listing(made):
  request = Request(str(made.source), str(made.splits), "", 1, 0, 1)
  return DATASETS["ucf101"].list_videos(request)


def test_videos_labels_and_splits(made):
  found = listing(made)
  assert found.label_names == {"class": [EYE, BALL, HAND]}
  videos = {video.id: video for video in found.videos}
  assert len(videos) == len(found.videos) == 24
  video = videos[f"{HAND}/v_HandStandPushups_g02_c01.avi"]
  assert video.path == str(made.source / video.id)
  assert video.labels == {"class": ((0, 2),)}
  assert video.splits == ("train1", "test2", "train3")
  assert videos[f"{EYE}/v_{EYE}_g04_c02.avi"].splits == (
    "train1",
    "train2",
    "train3",
  )
  assert found.official["train3"] == 9624
  assert not found.left_out


def test_classes_are_numbered_as_in_the_file_not_by_name(tmp_path):
  made = layouts.ucf101(tmp_path, classes=("Rowing", "Archery"), frames=0)
  found = listing(made)
  assert found.label_names == {"class": ["Rowing", "Archery"]}
  assert {
    video.id.split("/")[0]: video.labels["class"] for video in found.videos
  } == {"Rowing": ((0, 0),), "Archery": ((0, 1),)}


def test_videos_of_the_same_splits_lie_together(made):
  """So that the index stays small: here, four kinds of videos."""
  splits = [video.splits for video in listing(made).videos]
  assert splits == sorted(splits)
  assert len(set(splits)) == 4


def test_splits_are_evaluated_by_name(tmp_path):
  """Also the numbered ones: train1 as the gallery, test1 as the queries."""
  made, output = layouts.ucf101(tmp_path), str(tmp_path / "out")
  assert (
    prepare.main(
      [
        "--dataset=ucf101",
        f"--source={made.source}",
        f"--splits={made.splits}",
        f"--output={output}",
        "--short_side=40",
        "--workers=1",
      ]
    )
    == 0
  )
  source = sources.open(output)
  placement = FixedPlacement(8, 1, 32, clips=2, crops="centre")
  for split, count in {"train1": 18, "test1": 6}.items():
    items = evaluation_clips.read_clips(
      source,
      source.index.split(split),
      Loading(threads=2),
      label="class",
      placement=placement,
    )
    labels = [item["label"][0] for item in items]
    assert sorted(labels) == sorted([0, 1, 2] * (count // 3))


@pytest.mark.parametrize("folds", [(1,), (1, 3)])
def test_only_the_folds_that_have_lists_are_made(made, folds):
  for fold in set(ucf101.FOLDS) - set(folds):
    for subset in ("train", "test"):
      (made.splits / f"{subset}list0{fold}.txt").unlink()
  found = listing(made)
  names = {f"{subset}{n}" for subset in ("train", "test") for n in folds}
  assert {s for video in found.videos for s in video.splits} == names
  assert set(found.official) == {"videos", "classes", *names}


def test_the_group_is_the_long_video(made):
  groups = {video.id: video.group for video in listing(made).videos}
  assert groups[f"{HAND}/v_HandStandPushups_g02_c01.avi"] == (
    "HandStandPushups_g02"
  )
  assert len(set(groups.values())) == 12


def test_files_that_are_no_videos_are_left_out(made):
  (made.source / "notes.txt").touch()
  assert listing(made).left_out == {"not_videos": ["notes.txt"]}


@pytest.mark.parametrize("level", ["..", "ApplyEyeMakeup"])
def test_a_source_one_level_off_is_told_the_right_one(made, level):
  wrong = made.source.parent if level == ".." else made.source / level
  meant = re.escape(f"did you mean --source={made.source}?")
  with pytest.raises(DataError, match=meant):
    listing(made._replace(source=wrong))


def test_the_official_numbers_add_up():
  for fold in ucf101.FOLDS:
    total = sum(ucf101.OFFICIAL[f"{part}{fold}"] for part in ("train", "test"))
    assert total == ucf101.OFFICIAL["videos"]


def test_files_are_not_looked_at_one_by_one(made, monkeypatch):
  looked_at = []
  stat = os.stat

  def spy(path, *args, **kwargs):
    looked_at.append(path)
    return stat(path, *args, **kwargs)

  monkeypatch.setattr(os, "stat", spy)
  assert len(listing(made).videos) == 24
  assert not [path for path in looked_at if str(path).endswith(".avi")]


def move(made):
  """Moves the videos into one more folder."""
  made.source.rename(made.source.parent / "videos")
  made.source.mkdir()
  (made.source.parent / "videos").rename(made.source / "videos")


def swap(made):
  """Moves a video from test1 to train1, away from its group."""
  edit("testlist01.txt", f"{V}\n", "")(made)
  edit("trainlist01.txt", "", f"{V} 1\n")(made)


def forget(made):
  """Takes a class out of train3."""
  path = made.splits / "trainlist03.txt"
  lines = path.read_text().splitlines(keepends=True)
  path.write_text("".join(line for line in lines if BALL not in line))


V = f"{EYE}/v_{EYE}_g01_c01.avi"  # in test1, train2 and train3
STEM = "v_HandStandPushups_g02_c01.avi"
BAD = {
  "absent": (
    remove(*(f"UCF-101/{BALL}/v_{BALL}_g0{g}_c01.avi" for g in (1, 2, 3, 4))),
    r"not in .*UCF-101: 4 \(Basketball/v_Basketball_g02_c01\.avi, .*, …\)",
  ),
  "unlisted": (
    lambda made: (made.source / EYE / "mine.avi").touch(),
    r"no split file lists: 1 \(ApplyEyeMakeup/mine\.avi\); move",
  ),
  "another source": (
    move,
    r"none of the listed videos is in .*: 24 \(ApplyEyeMakeup/v_",
  ),
  "no list": (
    remove("ucfTrainTestlist/testlist03.txt"),
    r"testlist03\.txt: No such file .*--splits is the directory",
  ),
  "twice": (
    edit("trainlist02.txt", "", f"{V} 1\n"),
    rf"listed twice: 1 \({V} \(in train2 by trainlist02\.txt line 1, in train2 "
    r"by trainlist02\.txt line 20\)\)",
  ),
  "train and test": (
    edit("testlist02.txt", "", V),
    rf"listed twice: 1 \({V} \(in train2 by trainlist02\.txt line 1, in test2 "
    r"by testlist02\.txt line 8\)\)",
  ),
  "a group in both": (
    swap,
    rf"group that is also in train: 1 \({V} \(in train1\) and "
    rf"{EYE}/v_{EYE}_g01_c02\.avi \(in test1\)\)",
  ),
  "no such class": (
    edit("testlist01.txt", "", "Bowling/v_Bowling_g01_c01.avi"),
    r"testlist01\.txt line 8: .*of 3 classes, has none called Bowling",
  ),
  "beyond the classes": (
    edit("trainlist01.txt", f"{STEM} 3", f"{STEM} 4"),
    r"trainlist01\.txt line 13: .*has none called 4 HandstandPushups",
  ),
  "the number of another": (
    edit("trainlist01.txt", f"{STEM} 3", f"{STEM} 1"),
    r"trainlist01\.txt line 13: .*has none called 1 HandstandPushups",
  ),
  "no video": (
    edit("trainlist01.txt", "", "what is this"),
    r"trainlist01\.txt line 20: 'what is this' is not like Apply",
  ),
  "class numbers": (
    edit("classInd.txt", "2 ", "3 "),
    r"classInd\.txt line 2: '3 Basketball' should be 2 and",
  ),
  "a class twice": (
    edit("classInd.txt", BALL, EYE),
    r"classInd\.txt line 2: '2 ApplyEyeMakeup' should be 2 and",
  ),
  "a class without videos": (
    edit("classInd.txt", "", "4 Bowling"),
    r"without a video in split train1: 1 \(Bowling\); complete",
  ),
  "a class not in train": (
    forget,
    r"without a video in split train3: 1 \(Basketball\)",
  ),
}


@pytest.mark.parametrize(("damage", "message"), BAD.values(), ids=BAD)
def test_what_contradicts_itself_is_an_error(made, damage, message):
  damage(made)
  with pytest.raises(DataError, match=message) as error:
    listing(made)
  assert "\n" not in str(error.value)
