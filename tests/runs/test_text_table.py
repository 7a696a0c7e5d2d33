"""Rows as text: what is in which column, and how it is written."""

import pytest

from hdc_jax.runs.text_table import format_rows


def test_texts_are_left_and_numbers_right():
  rows = [
    {"name": "a", "label": "motion", "top1": 9.96, "videos": 12345},
    {"name": "b", "label": "scene", "top1": 100.0, "videos": 6},
  ]
  assert format_rows(rows).split("\n") == [
    "label    top1  videos",
    "motion   10.0  12,345",
    "scene   100.0       6",
  ]


def test_means_have_their_confidence():
  rows = [
    {"name": "draw0", "draw": "0", "top1": 50.0},
    {"name": "mean", "draw": "mean", "top1": 45.04, "top1_ci95": 1.25},
  ]
  assert format_rows(rows).split("\n") == [
    "draw        top1",
    "0           50.0",
    "mean  45.0 ± 1.2",
  ]


def test_missing_values():
  """Also of a column that only some rows have."""
  rows = [{"name": "a", "top1": 1.0}, {"name": "b", "held_out": 0.0}]
  assert format_rows(rows).split("\n") == [
    "name  top1  held out",
    "a      1.0         –",
    "b        –       0.0",
  ]


@pytest.mark.parametrize(
  ("other", "names"), [("1", True), ("2", False), (None, False)]
)
def test_names_are_shown_only_to_tell_rows_apart(other, names):
  rows = [{"name": "a", "split": "1"}, {"name": "b", "split": other}]
  assert format_rows(rows).startswith("name") == names
