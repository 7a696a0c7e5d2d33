"""HMDB51: odd names, videos of no split, and what is wrong is named."""

import re
import unicodedata

import pytest

from hdc_jax.data.datasets import DATASETS, Request
from hdc_jax.errors import DataError
from tests import layouts
from tests.layouts import edit, remove


@pytest.fixture
def made(tmp_path):
  """Empty files: listing does not open them."""
  return layouts.hmdb51(tmp_path, frames=0)


def listing(made):
  request = Request(str(made.source), str(made.splits), "", 1, 0, 1)
  return DATASETS["hmdb51"].list_videos(request)


def test_every_name_is_found_and_in_its_splits(made):
  found = listing(made)
  assert found.label_names == {"class": ["brush_hair", "cartwheel", "wave"]}
  videos = {video.id: video for video in found.videos}
  assert len(videos) == 18
  assert not found.left_out
  for number, label in enumerate(found.label_names["class"]):
    for name, uses in zip(
      layouts.HMDB51_NAMES, layouts.HMDB51_USES, strict=True
    ):
      video = videos[f"{label}/{name.format(label)}"]
      assert video.labels == {"class": ((0, number),)}
      assert video.splits == tuple(
        f"{('', 'train', 'test')[use]}{fold}"
        for fold, use in zip(layouts.FOLDS, uses, strict=True)
        if use
      )


def test_classes_are_numbered_by_name(tmp_path):
  made = layouts.hmdb51(tmp_path, classes=("wave", "catch"), frames=0)
  assert listing(made).label_names == {"class": ["catch", "wave"]}


def test_hidden_files_are_no_classes(made):
  """As unpacking on another system leaves them."""
  (made.splits / "._wave_test_split1.txt").write_bytes(b"\0\1\2")
  assert len(listing(made).label_names["class"]) == 3


def test_names_are_compared_in_one_form_of_unicode(made):
  """MacOS writes an accent as a character of its own."""
  name = "Am\u00e9lie_wave_u_nm_np1_ba_goo_0.avi"
  decomposed = unicodedata.normalize("NFD", name)
  (made.source / "wave" / FIRST).rename(made.source / "wave" / decomposed)
  for fold in layouts.FOLDS:
    edit(f"wave_test_split{fold}.txt", FIRST, name)(made)
  found = listing(made)
  (video,) = (v for v in found.videos if v.id == f"wave/{name}")
  assert video.path == str(made.source / "wave" / decomposed)
  assert video.group == "Am\u00e9lie"


def test_only_the_folds_that_have_files_are_made(made):
  for path in made.splits.glob("*_split[23].txt"):
    path.unlink()
  found = listing(made)
  splits = {split for video in found.videos for split in video.splits}
  assert splits == {"train1", "test1"}
  assert set(found.official) == {"videos", "classes", *splits}


def test_the_group_is_the_film(made):
  groups = {video.group for video in listing(made).videos}
  assert len(groups) == len(layouts.HMDB51_NAMES)
  assert {"April_09", "50_FIRST_DATES", "Two Words '2'"} < groups


def test_files_that_are_no_videos_are_left_out(made):
  (made.source / "notes.txt").touch()
  assert listing(made).left_out == {"not_videos": ["notes.txt"]}


@pytest.mark.parametrize("level", ["..", "wave"])
def test_a_source_one_level_off_is_told_the_right_one(made, level):
  wrong = made.source.parent if level == ".." else made.source / level
  meant = re.escape(f"did you mean --source={made.source}?")
  with pytest.raises(DataError, match=meant):
    listing(made._replace(source=wrong))


WAVE = "wave_test_split1.txt"
FIRST = layouts.HMDB51_NAMES[0].format("wave")  # train of fold 1
BAD = {
  "absent": (
    remove(f"hmdb51_org/wave/{FIRST}"),
    rf"not in .*hmdb51_org: 1 \(wave/{FIRST}\); complete --source",
  ),
  "unlisted": (
    lambda made: (made.source / "wave" / "mine.avi").touch(),
    r"no split file lists: 1 \(wave/mine\.avi\); move",
  ),
  "no file": (
    remove("testTrainMulti_7030_splits/wave_test_split2.txt"),
    r"wave_test_split2\.txt: No such file .*--splits is the directory",
  ),
  "no files": (
    lambda made: [path.unlink() for path in made.splits.iterdir()],
    r"holds no file <class>_test_split1\.txt; it is the directory testTrain",
  ),
  "no use": (
    edit(WAVE, "goo_0.avi 1", "goo_0.avi"),
    rf"{WAVE} line 1: '{FIRST}' is not the name of a video and 0",
  ),
  "another use": (
    edit(WAVE, "goo_0.avi 1", "goo_0.avi 3"),
    rf"{WAVE} line 1: '{FIRST} 3' is not the name of a video and 0",
  ),
  "twice": (
    edit(WAVE, "", f"{FIRST} 1 \n"),
    rf"twice: 1 \(wave/{FIRST} \(in train1 by {WAVE} line 1, in train1 by "
    rf"{WAVE} line 7\)\)",
  ),
  "train and test": (
    edit(WAVE, "", f"{FIRST} 2 \n"),
    rf"twice: 1 \(wave/{FIRST} \(in train1 by .* line 1, in test1 by ",
  ),
  "train and unused": (
    edit(WAVE, "", f"{FIRST} 0 \n"),
    rf"twice: 1 \(wave/{FIRST} \(in train1 by .* line 1, in no split by ",
  ),
  "a class not in train": (
    edit(WAVE, ".avi 1", ".avi 0"),
    r"without a video in split train1: 1 \(wave\)",
  ),
}


@pytest.mark.parametrize(("damage", "message"), BAD.values(), ids=BAD)
def test_what_contradicts_itself_is_an_error(made, damage, message):
  damage(made)
  with pytest.raises(DataError, match=message) as error:
    listing(made)
  assert "\n" not in str(error.value)
