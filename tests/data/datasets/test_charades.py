"""Charades: the actions of a video are a tag."""

import pytest

from hdc_jax.errors import DataError
from tests import layouts, published
from tests.data.datasets.listing import check_counts, listing
from tests.layouts import edit, remove


@pytest.fixture
def made(tmp_path):
  return published.charades(tmp_path, frames=0)


def test_actions_are_tags(made):
  found = listing("charades", made)
  names = ["Holding some clothes", "Putting clothes somewhere"]
  assert found.tag_names == {"action": names}
  assert not found.label_names
  assert not found.left_out
  shown = {video.id: video.tags["action"] for video in found.videos}
  assert len(shown) == 10
  assert (shown["002YG"], shown["003YG"], shown["005YG"]) == ([0, 1], [], [1])
  assert not any(video.labels for video in found.videos)
  check_counts(found, train=7985, test=1863)


def test_the_summary_counts_the_actions(tmp_path, capsys):
  made = published.charades(tmp_path)
  layouts.prepare("charades", made, tmp_path / "data")
  text = capsys.readouterr().out
  assert "tag action: 2 classes (official: 157)" in text
  assert "split test: 2 videos (official: 1,863)" in text


def test_what_is_not_there_is_listed(made):
  remove("Charades_v1_480/003YG.mp4")(made)
  (made.source / "mine.mp4").touch()
  assert listing("charades", made).left_out == {
    "missing": ["003YG"],
    "unlisted": ["mine.mp4"],
  }


def test_videos_in_both_sizes_are_refused(made):
  path = made.source / "Charades_v1" / "000YG.mp4"
  path.parent.mkdir()
  path.touch()
  with pytest.raises(DataError, match=r"line 2: .* several files: 2 \(.*keep"):
    listing("charades", made)


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (edit("Charades_v1_train.csv", "c000", "c157"), "line 2: .* no c157"),
    (edit("Charades_v1_train.csv", "actions", "acts"), "has no column actions"),
    (edit("Charades_v1_classes.txt", "c001", "d1"), "line 2: .* not like c000"),
  ],
)
def test_an_error_names_the_file(made, damage, message):
  damage(made)
  with pytest.raises(DataError, match=message):
    listing("charades", made)
