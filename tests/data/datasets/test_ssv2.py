"""Something-Something v2: templates are classes, by either name of a file."""

import json

import pytest

from hdc_jax.errors import DataError
from tests import published
from tests.data.datasets.listing import check_counts, classes_of, listing
from tests.layouts import edit, remove


@pytest.fixture
def made(tmp_path):
  return published.ssv2(tmp_path, frames=0)


@pytest.mark.parametrize("prefix", ["", "something-something-v2-"])
def test_templates_are_the_classes(tmp_path, prefix):
  found = listing("ssv2", published.ssv2(tmp_path, 0, prefix))
  # Numbered as in labels.json, not by name.
  names = ["Lifting something", "Holding something next to something"]
  assert found.label_names == {"class": names}
  assert not found.left_out
  assert classes_of(found) == {
    "train": {str(i): i % 2 for i in range(8)},
    "val": {"8": 0, "9": 1},
    "test": {"10": None, "11": None},
  }
  assert all(v.path.endswith(f"-v2/{v.id}.webm") for v in found.videos)
  check_counts(found, train=168913, val=24777, test=27157)


def test_test_videos_have_the_classes_of_the_answers(made):
  answers = "10;Lifting something\n11;Holding something next to something\n"
  (made.splits / "test-answers.csv").write_text(answers)
  assert classes_of(listing("ssv2", made))["test"] == {"10": 0, "11": 1}


def test_what_is_not_there_is_listed(made):
  remove("20bn-something-something-v2/3.webm", "labels/test.json")(made)
  (made.source / "readme.txt").touch()
  found = listing("ssv2", made)
  assert found.left_out == {
    "missing": ["3"],
    "unlisted": ["10.webm", "11.webm"],
    "not_videos": ["readme.txt"],
  }


def test_a_line_that_repeats_one_is_counted(made):
  path = made.splits / "train.json"
  items = json.loads(path.read_text())
  path.write_text(json.dumps([*items, items[2]]))
  found = listing("ssv2", made)
  assert found.left_out == {"duplicates": ["2"]}
  assert len(found.videos) == 12


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (
      edit("labels.json", "Lifting", "Tilting"),
      "train.json item 1: .*no class",
    ),
    (edit("labels.json", '"0"', '"7"'), "not numbered from 0"),
    (edit("train.json", "]", ""), "train.json: is no JSON file"),
    (edit("train.json", '"id"', '"name"'), "item 1: does not have id"),
    (edit("validation.json", '"8"', '"1"'), "1: validation.json item 1 contra"),
    (remove("labels/train.json"), "holds no train.json or something-"),
  ],
)
def test_an_error_names_the_file(made, damage, message):
  damage(made)
  with pytest.raises(DataError, match=message):
    listing("ssv2", made)
