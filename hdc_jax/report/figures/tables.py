"""Lays out rows of results as tables, for the template of the page."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hdc_jax.runs.text_table import CONFIDENCE

_PERCENTAGE = re.compile(r"top(\d+)|map|knn|knn_map")
# The column of published figures, and the suffix of columns of such.
_PUBLISHED = "published"
# Columns of numbers that distinguish rows, as columns of text do.
_DISTINGUISHING = ("split", "draw", "rate")


@dataclasses.dataclass(frozen=True)
class Cell:
  """A cell of a table.

  Attributes:
    text: Text of the cell.
    css: CSS classes of its element, separated by spaces.
    share: Length of the bar behind the text in per cent; None for no bar.
  """

  text: str
  css: str = ""
  share: float | None = None


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of results.

  Attributes:
    labelled: Whether the groups have labels.
    heads: Heads of the columns.
    groups: Label and rows of each group; a row has a cell for each column.
  """

  labelled: bool
  heads: Sequence[Cell]
  groups: Sequence[tuple[str, Sequence[Sequence[Cell]]]]


def make(rows: Sequence[Mapping[str, Any]]) -> Table:
  """Lays out rows of results as a table, grouped by their labels.

  Percentages have bars, and the best of each label, split and condition is
  emphasised. The half-width of a confidence interval is in the cell of its
  mean; published figures are in the next column.

  Args:
    rows: Values by column; column 'run' has the name of the run.

  Returns:
    The table.

  Example:
    >>> rows = [{"run": "a", "model": "c3d", "top1": 50.0}]
    >>> table = make([*rows, {"run": "b", "top1": 60.0}])
    >>> [head.text for head in table.heads]
    ['run', 'model', 'top-1 %']
    >>> [[cell.text for cell in row] for row in table.groups[0][1]]
    [['a', 'c3d', '50.0'], ['b', '–', '60.0']]
  """
  names = list(dict.fromkeys(name for row in rows for name in row))
  texts = {c for c in names if any(isinstance(r.get(c), str) for r in rows)}
  columns = _arrange([c for c in names if not c.endswith(CONFIDENCE)])
  if len({row["run"] for row in rows}) == 1:
    columns.remove("run")
  # Names are for scripts: shown only if no other column distinguishes all rows.
  others = [c for c in columns if c in (texts | {*_DISTINGUISHING}) - {"name"}]
  distinct = {tuple(row.get(c) for c in others) for row in rows}
  if others and len(distinct) == len(rows):
    columns = [c for c in columns if c != "name"]
  columns = [c for c in columns if c != "label"]
  groups = {}
  for row in rows:
    groups.setdefault(row.get("label"), []).append(row)
  return Table(
    labelled=any(label is not None for label in groups),
    heads=[Cell(_head(c), "" if c in texts else "number") for c in columns],
    groups=[
      (
        label or "–",
        [
          [_cell(row, c, _rivals(row, members), c in texts) for c in columns]
          for row in members
        ],
      )
      for label, members in groups.items()
    ],
  )


def _arrange(columns: Sequence[str]) -> list[str]:
  """Moves published figures next to the column that they belong to."""
  places = {name: i for i, name in enumerate(columns)}
  return sorted(
    columns, key=lambda c: (places.get(_base(c), places[c]), _is_published(c))
  )


def _base(column: str) -> str:
  """The column that published figures belong to: 'top1' of 'top1_published'."""
  return column.removesuffix(f"_{_PUBLISHED}")


def _is_published(column: str) -> bool:
  """Whether a column holds published figures."""
  return column == _PUBLISHED or _base(column) != column


def _head(column: str) -> str:
  """The head of a column: 'top-1 % published' of 'top1_published'."""
  words = _base(column).replace("_", " ")
  for pattern, head in (
    (r"\btop(\d+)\b", r"top-\1"),
    (r"\bknn\b", "k-NN"),
    (r"\bmap\b", "mAP"),
  ):
    words = re.sub(pattern, head, words)
  if _PERCENTAGE.fullmatch(_base(column)):
    words += " %"
  return words if _base(column) == column else f"{words} {_PUBLISHED}"


def _rivals(
  row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
  """The rows of one split and condition, which compete for the best value."""
  return [
    other
    for other in rows
    if all(other.get(c) == row.get(c) for c in ("split", "condition"))
  ]


def _cell(
  row: Mapping[str, Any],
  column: str,
  rivals: Sequence[Mapping[str, Any]],
  is_text: bool,
) -> Cell:
  """Lays out one cell.

  Args:
    row: The row.
    column: Name of the column.
    rivals: Rows to compare with, the row itself included.
    is_text: Whether the column holds text.
  """
  value, ci95 = row.get(column), row.get(column + CONFIDENCE)
  percentage = bool(_PERCENTAGE.fullmatch(_base(column)))
  text = _text(value, percentage)
  if value is not None and ci95 is not None:
    text += f" ± {_text(ci95, percentage)}"
  css = ["run-name"] if column == "run" else [] if is_text else ["number"]
  if _is_published(column):
    return Cell(text, " ".join([*css, "soft"]))
  if value is None or not percentage:
    return Cell(text, " ".join(css))
  best = max(other.get(column) or 0 for other in rivals)
  stands_out = ["best"] if len(rivals) > 1 and value == best else []
  return Cell(text, " ".join([*css, "bar", *stands_out]), value)


def _text(value: Any, percentage: bool) -> str:
  """Formats a value: few decimals, thousands separated, '–' for None."""
  if value is None:
    return "–"
  if percentage or (isinstance(value, float) and abs(value) >= 10):
    return f"{value:,.1f}"
  if isinstance(value, float):
    return f"{value:.3g}"
  return f"{value:,}" if type(value) is int else str(value)
