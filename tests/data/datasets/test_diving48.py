"""Diving48: classes are dives of four parts, groups are competitions."""

import pytest

from hdc_jax.errors import DataError
from tests import published
from tests.data.datasets.listing import check_counts, classes_of, listing
from tests.layouts import edit, remove


@pytest.fixture
def made(tmp_path):
  return published.diving48(tmp_path, frames=0)


def test_videos_classes_and_groups(made):
  found = listing("diving48", made)
  names = ["Back 15som 05Twis FREE", "Reverse Dive NoTwis"]
  assert found.label_names == {"class": names}
  assert not found.left_out
  classes = classes_of(found)
  assert classes["test"] == {"_8Vy3dlHg04_00000": 0, "_8Vy3dlHg04_00001": 1}
  assert len(classes["train"]) == 8
  groups = {video.id: video.group for video in found.videos}
  assert groups["_8Vy3dlHg04_00001"] == "_8Vy3dlHg04"
  check_counts(found, train=15027, test=1970)
  assert found.official["classes"] == 48


def test_what_is_not_there_is_listed(made):
  remove("rgb/_8Vy3dlHg01_00000.mp4")(made)
  (made.source / "mine.mp4").touch()
  assert listing("diving48", made).left_out == {
    "missing": ["_8Vy3dlHg01_00000"],
    "unlisted": ["mine.mp4"],
  }


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (edit("Diving48_V2_test.json", '"label": 1', '"label": 2'), "no class 2"),
    (edit("Diving48_V2_test.json", '"label": 1', '"label": "b"'), "no number"),
    (remove("annotations/Diving48_vocab.json"), "holds no Diving48_vocab"),
  ],
)
def test_an_error_names_the_file(made, damage, message):
  damage(made)
  with pytest.raises(DataError, match=message):
    listing("diving48", made)
