"""Jester: gestures by number; folders of frames have to be made videos."""

import shutil

import pytest

from hdc_jax.data.datasets import jester
from hdc_jax.errors import DataError
from tests import published
from tests.data.datasets.listing import check_counts, classes_of, listing
from tests.layouts import edit, remove


@pytest.fixture
def made(tmp_path):
  return published.jester(tmp_path, frames=0)


def test_videos_and_classes(made):
  found = listing("jester", made)
  # In the order of the file, not by name.
  names = ["Swiping Left", "Doing other things"]
  assert found.label_names == {"class": names}
  assert not found.left_out
  assert classes_of(found) == {
    "train": {str(i): i % 2 for i in range(8)},
    "val": {"8": 0, "9": 1},
    "test": {"10": None, "11": None},
  }
  check_counts(found, train=118562, val=14787, test=14743)


def test_what_is_not_there_is_listed(made):
  remove("jester/3.mkv")(made)
  (made.source / "mine.mp4").touch()
  assert listing("jester", made).left_out == {
    "missing": ["3"],
    "unlisted": ["mine.mp4"],
  }


@pytest.mark.parametrize("folder", ["", "20bn-jester-v1"])
def test_folders_of_frames_are_refused_with_the_remedy(made, folder):
  shutil.rmtree(made.source)
  (made.source / folder / "0").mkdir(parents=True)
  (made.source / folder / "0" / "00001.jpg").touch()
  with pytest.raises(DataError, match=r"a folder of frames .* of --help"):
    listing("jester", made)
  assert "ffmpeg" in jester.LAYOUT


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (edit("jester-v1-train.csv", "0;Sw", "0;w"), "line 1: .* class 'wiping"),
    (edit("jester-v1-train.csv", "0;Swiping Left", "0"), "line 1: .*class ''"),
    (
      remove("labels/jester-v1-labels.csv"),
      "no jester-v1-labels.csv or labels",
    ),
  ],
)
def test_an_error_names_the_file(made, damage, message):
  damage(made)
  with pytest.raises(DataError, match=message):
    listing("jester", made)
