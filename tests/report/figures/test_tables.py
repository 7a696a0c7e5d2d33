"""Tables: which columns there are, and what stands out."""

import pytest

from hdc_jax.report.figures import tables


def make(*rows):
  return tables.make([{"run": "run"} | row for row in rows])


def heads(table):
  return [head.text for head in table.heads]


def texts(table):
  return [
    [cell.text for cell in row] for _, rows in table.groups for row in rows
  ]


def best(table):
  rows = [row for _, rows in table.groups for row in rows]
  return [c.text for row in rows for c in row if "best" in c.css.split()]


def test_confidence_intervals_are_in_the_cell_of_their_column():
  table = make(
    {"network": "a", "top1": 61.34, "top1_ci95": 0.78, "top5": 90.0},
    {"network": "b", "top1": 50.0, "top5": 80.0, "top5_ci95": 1.0},
    {"network": "c", "top5": 70.0, "top1_ci95": 1.0},
  )
  assert heads(table) == ["network", "top-1 %", "top-5 %"]
  assert texts(table) == [
    ["a", "61.3 ± 0.8", "90.0"],
    ["b", "50.0", "80.0 ± 1.0"],
    ["c", "–", "70.0"],
  ]


def test_published_figures_are_grey_and_beside_ours():
  table = make(
    {"top1": 61.0, "top5": 80.0, "top1_published": 69.0, "published": 5.0},
    {"top1": 62.0, "top5": 81.0},
  )
  assert heads(table) == [
    "top-1 %",
    "top-1 % published",
    "top-5 %",
    "published",
  ]
  (_, rows), *_ = table.groups
  for cell in rows[0][1], rows[0][3]:
    assert "soft" in cell.css.split() and cell.share is None
  assert best(table) == ["62.0", "81.0"]


def test_percentages_have_bars_and_others_do_not():
  table = make({"top1": 10.0, "knn": 20, "rate": 30.0, "top20": None})
  assert heads(table) == ["top-1 %", "k-NN %", "rate", "top-20 %"]
  ((_, (row,)),) = table.groups
  assert [cell.share for cell in row] == [10.0, 20, None, None]
  assert [cell.text for cell in row] == ["10.0", "20.0", "30.0", "–"]


@pytest.mark.parametrize(
  ("value", "text"),
  [
    (3e-4, "0.0003"),
    (1e-5, "1e-05"),
    (1.0, "1"),
    (12345.67, "12,345.7"),
    (12345, "12,345"),
    (True, "True"),
    ("1e3", "1e3"),
  ],
)
def test_numbers_are_short_and_say_enough(value, text):
  assert texts(make({"value": value})) == [[text]]


@pytest.mark.parametrize("column", ["network", "rate", "split"])
def test_names_are_left_out_where_another_column_tells(column):
  rows = [{"name": f"x/{i}", column: str(i), "top1": 1.0} for i in range(2)]
  assert heads(make(*rows)) == [column, "top-1 %"]
  numbers = [row | {column: float(i)} for i, row in enumerate(rows)]
  assert ("name" in heads(make(*numbers))) == (column == "network")
  assert "name" in heads(make(*[row | {column: 1} for row in rows]))


def test_the_best_is_that_of_a_label_and_a_split():
  table = make(
    {"label": "class", "network": "a", "split": 1, "top1": 1.0},
    {"label": "class", "network": "a", "split": 2, "top1": 9.0},
    {"label": "class", "network": "b", "split": 1, "top1": 2.0},
    {"label": "class", "network": "b", "split": 2, "top1": 8.0},
    {"label": "scene", "network": "b", "split": 1, "top1": 7.0},
  )
  assert best(table) == ["9.0", "2.0"]
  assert [label for label, _ in table.groups] == ["class", "scene"]


def test_the_best_is_that_of_a_condition():
  table = make(
    {"label": "class", "network": "a", "condition": "frozen", "top1": 1.0},
    {"label": "class", "network": "b", "condition": "frozen", "top1": 2.0},
    {"label": "class", "network": "a", "condition": "stripes", "top1": 4.0},
    {"label": "class", "network": "b", "condition": "stripes", "top1": 3.0},
  )
  assert best(table) == ["2.0", "4.0"]


def test_runs_are_named_if_there_are_several():
  row = {"name": "x", "top1": 1.0}
  assert "run" not in heads(tables.make([row | {"run": "a"}]))
  two = tables.make([{"run": "a"} | row, {"run": "b"} | row])
  assert heads(two) == ["run", "top-1 %"]
