"""Kinetics: clips are found in every layout, and what is gone is counted."""

import pytest

from hdc_jax.data.datasets import DATASETS, Request, kinetics
from hdc_jax.errors import DataError
from tests import layouts
from tests.layouts import edit, remove

NAMES = ["abseiling", "air drumming", "petting animal (not cat)"]


@pytest.fixture
def made(tmp_path):
  """Empty files: listing does not open them."""
  return layouts.kinetics(tmp_path, frames=0)


def listing(made):
  request = Request(str(made.source), str(made.splits), "", 1, 0, 1)
  return DATASETS["kinetics400"].list_videos(request)


@pytest.mark.parametrize(
  "path",
  [
    "{split}/{label}/{id}_{start:06d}_{end:06d}.mp4",
    "{split}/{id}_{start:06d}_{end:06d}.mp4",
    "{id}.mkv",
  ],
)
@pytest.mark.parametrize("val", ["val.csv", "kinetics-400_validate.csv"])
def test_clips_are_found_in_every_layout(tmp_path, path, val):
  made = layouts.kinetics(tmp_path, path=path, val=val, frames=0)
  found = listing(made)
  assert found.label_names == {"class": NAMES}
  assert found.left_out == {"missing": [], "unlisted": []}
  for split, count in {"train": 9, "val": 3, "test": 3}.items():
    videos = [video for video in found.videos if video.splits == (split,)]
    assert len(videos) == count
    classes = sorted(v.labels["class"][0][1] for v in videos if v.labels)
    assert classes == sorted([0, 1, 2] * (count // 3) * (split != "test"))
  # Of the second class in the file, which is the third by name.
  (video,) = (v for v in found.videos if "_1_0003_1_" in v.id)
  assert video.labels == {"class": ((0, 2),)}
  assert video.splits == ("val",)


def test_a_labelled_test_set_keeps_its_labels(made):
  csv = (made.splits / "val.csv").read_text().replace(",val", ",test")
  (made.splits / "val.csv").unlink()
  (made.splits / "test.csv").write_text(csv)
  videos = [v for v in listing(made).videos if v.splits == ("test",)]
  assert len(videos) == 3
  assert all(video.labels for video in videos)


def test_the_class_is_that_of_the_csv_whatever_the_folder(tmp_path):
  made = layouts.kinetics(
    tmp_path, path="x/{id}_{start:06d}_{end:06d}.mp4", frames=0
  )
  assert {v.labels["class"] for v in listing(made).videos if v.labels} == {
    ((0, i),) for i in range(3)
  }


def test_the_missing_and_the_unlisted_are_named(made):
  (made.source / "train/abseiling/-_0_0001_1__000009_000019.mp4").unlink()
  (made.source / "val/abseiling/-_0_0003_1__000027_000037.mp4").unlink()
  (made.source / "train" / "abseiling" / "another one.mp4").touch()
  found = listing(made)
  assert len(found.videos) == 13
  assert found.left_out == {
    "missing": ["-_0_0001_1__000009_000019", "-_0_0003_1__000027_000037"],
    "unlisted": ["train/abseiling/another one.mp4"],
  }


def test_a_split_that_is_not_wanted_may_lack_its_file(made):
  (made.splits / "test.csv").unlink()
  found = listing(made)
  assert {split for video in found.videos for split in video.splits} == {
    "train",
    "val",
  }
  assert len(found.left_out["unlisted"]) == 3


def test_a_replacement_wins_over_the_corrupted_file(made):
  name = CLIP.rpartition("/")[2]
  new = made.source / "replacement/replacement_for_corrupted_k400" / name
  new.parent.mkdir(parents=True)
  new.touch()
  found = listing(made)
  assert found.left_out["replaced"] == [CLIP]
  assert not found.left_out["unlisted"]
  (video,) = (v for v in found.videos if v.id.endswith(name))
  assert video.path == str(new)
  assert len(found.videos) == 15


def test_classes_without_a_video_are_named_in_the_summary(made):
  for path in (made.source / "train" / NAMES[1]).iterdir():
    path.unlink()
  found = listing(made)
  assert found.label_names == {"class": NAMES}
  assert found.notes == [
    "classes without a video in split train: 1 (air drumming)"
  ]


def test_files_that_are_no_videos_are_left_out(made):
  (made.source / "notes.txt").touch()
  assert listing(made).left_out["not_videos"] == ["notes.txt"]


def test_the_official_numbers_add_up():
  official = kinetics.OFFICIAL["kinetics400"]
  parts = sum(official[split] for split in ("train", "val", "test"))
  assert parts == official["videos"]


def copy(made):
  """Puts a file of the same name into another folder."""
  path = made.source / "again" / CLIP.rpartition("/")[2]
  path.parent.mkdir()
  path.touch()


def lose(made):
  """Lists a clip that is missing in val, too."""
  remove(f"k400/{CLIP}")(made)
  edit("val.csv", "", f"{ROW}val")(made)


def keep_only_train(made):
  """Of other videos than those that are there."""
  remove("annotations/val.csv", "annotations/test.csv")(made)
  edit("train.csv", "-_", "__")(made)


CLIP = "train/abseiling/-_0_0001_1__000009_000019.mp4"
ROW = '"abseiling",-_0_0001_1_,9,19,'
BAD = {
  "nothing there": (
    keep_only_train,
    r"none of the listed videos is in .*k400: 9 \(__0_0000_1__000000_000010",
  ),
  "no train": (
    remove("annotations/train.csv"),
    r"should hold train\.csv, .*; holds test\.csv, val\.csv",
  ),
  "no files": (
    lambda made: [path.unlink() for path in made.splits.iterdir()],
    r"should hold train\.csv, .*; holds none",
  ),
  "two for a split": (
    lambda made: (made.splits / "validate.csv").touch(),
    r"should hold train\.csv, .*; holds test\.csv, .*, val\.csv, validate\.csv",
  ),
  "a column": (
    edit("val.csv", "time_start", "start"),
    r"val\.csv: has no column time_start",
  ),
  "empty": (
    lambda made: (made.splits / "train.csv").write_text(""),
    r"train\.csv: has no column time_end, time_start, youtube_id",
  ),
  "times": (
    edit("val.csv", ",27,", ",,"),
    r"val\.csv line 2: has no start and end",
  ),
  "a short row": (
    edit("val.csv", "", "abseiling,abc"),
    r"val\.csv line 6: has no start and end",
  ),
  "no label": (
    edit("train.csv", ROW, f",{ROW.partition(',')[2]}"),
    r"train\.csv line 3: has no label",
  ),
  "a class not in train": (
    edit("val.csv", "abseiling", "rowing"),
    r"val\.csv line 2: no video of train has the class 'rowing'",
  ),
  "twice": (
    edit("train.csv", "", f"{ROW}train"),
    r"twice: 1 \(.*in train by train\.csv line 3, in train by train\.csv line "
    r"12\)",
  ),
  "train and val": (
    edit("val.csv", "", f"{ROW}val"),
    rf"twice: 1 \({CLIP} \(in .* by .*, in .* by .*\)\)",
  ),
  "train and val, of a missing clip": (
    lose,
    r"twice: 1 \(-_0_0001_1__000009_000019 \(in ",
  ),
  "two files": (
    copy,
    rf"train\.csv line 3: .* several files: 2 \(again/.*, {CLIP}\); keep one",
  ),
}


@pytest.mark.parametrize(("damage", "message"), BAD.values(), ids=BAD)
def test_what_contradicts_itself_is_an_error(made, damage, message):
  damage(made)
  with pytest.raises(DataError, match=message) as error:
    listing(made)
  assert "\n" not in str(error.value)
