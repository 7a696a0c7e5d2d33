"""Damaged annotations of published datasets: one line that names the file."""

import pytest

from hdc_jax.errors import DataError
from tests import published
from tests.data.datasets.listing import listing


@pytest.mark.parametrize(
  ("name", "lay_out", "file", "text", "message"),
  [
    (
      "gym99",
      published.finegym,
      "finegym_annotation_info_v1.1.json",
      "[1]",
      "",
    ),
    ("diving48", published.diving48, "Diving48_vocab.json", "{}", ""),
    (
      "diving48",
      published.diving48,
      "Diving48_V2_train.json",
      "[3]",
      " item 1",
    ),
    ("ssv2", published.ssv2, "labels.json", "[]", ""),
    ("ssv2", published.ssv2, "train.json", "{}", ""),
    ("charades", published.charades, "Charades_v1_test.csv", "", ""),
  ],
)
def test_an_error_names_the_file(tmp_path, name, lay_out, file, text, message):
  made = lay_out(tmp_path, frames=0)
  (made.splits / file).write_text(text)
  with pytest.raises(DataError, match=f"{file}{message}: "):
    listing(name, made)


@pytest.mark.parametrize(
  "text", ["id,actions\n001YG\n", "id,actions\n001YG, \n"]
)
def test_a_row_without_actions_shows_none(tmp_path, text):
  made = published.charades(tmp_path, frames=0)
  (made.splits / "Charades_v1_train.csv").write_text(text)
  videos = {video.id: video for video in listing("charades", made).videos}
  assert videos["001YG"].tags == {"action": []}


def test_an_empty_list_is_no_crash(tmp_path):
  made = published.jester(tmp_path, frames=0)
  (made.splits / "jester-v1-train.csv").write_text("")
  assert len(listing("jester", made).videos) == 4
