"""Rows of results → tables, as the page's template writes them."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hdc_jax.runs.rows import CONFIDENCE

_PERCENTAGE = re.compile(r"top(\d+)|knn")
_PUBLISHED = "published"  # figures of a paper, by themselves or of a column
_NUMBERED = (
  "split",
  "draw",
  "rate",
)  # numbers that tell rows apart, as texts do


@dataclasses.dataclass(frozen=True)
class Cell:
  """A cell of a table.

  Attributes:
    text: What it says.
    css: The classes of its element.
    share: How long a bar to draw behind it, in per cent.
  """

  text: str
  css: str = ""
  share: float | None = None


@dataclasses.dataclass(frozen=True)
class Table:
  """A table of results.

  Attributes:
    labelled: Whether its groups have labels.
    heads: Of the columns.
    groups: The label of each, and its rows.
  """

  labelled: bool
  heads: Sequence[Cell]
  groups: Sequence[tuple[str, Sequence[Sequence[Cell]]]]


def make(rows: Sequence[Mapping[str, Any]]) -> Table:
  """Lays out rows, those with the same label together.

  Percentages have bars, and the best of each label stands out, of each split if
  there are several. Confidence intervals share a cell with what they are of;
  published figures are in the next.

  Args:
    rows: Values by column, with the name of the run under 'run'.
  """
  given = list(dict.fromkeys(name for row in rows for name in row))
  texts = {c for c in given if any(isinstance(r.get(c), str) for r in rows)}
  columns = _arrange([c for c in given if not c.endswith(CONFIDENCE)])
  if len({row["run"] for row in rows}) == 1:
    columns.remove("run")
  # Names are for scripts: shown only if nothing else tells rows apart.
  others = [c for c in columns if c in (texts | {*_NUMBERED}) - {"name"}]
  if len({tuple(row.get(c) for c in others) for row in rows}) == len(rows):
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
  """Puts published figures next to what they are of."""
  places = {name: i for i, name in enumerate(columns)}
  return sorted(
    columns, key=lambda c: (places.get(_base(c), places[c]), _is_published(c))
  )


def _base(column: str) -> str:
  """'top1_published' → 'top1'."""
  return column.removesuffix(f"_{_PUBLISHED}")


def _is_published(column: str) -> bool:
  return column == _PUBLISHED or _base(column) != column


def _head(column: str) -> str:
  """'top1_published' → 'top-1 % published'."""
  words = column.replace("knn", "k-NN %").replace("_", " ")
  return re.sub(r"\btop(\d+)\b", r"top-\1 %", words)


def _rivals(
  row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
  """Those of the rows that are of the same split."""
  return [other for other in rows if other.get("split") == row.get("split")]


def _cell(
  row: Mapping[str, Any],
  column: str,
  rivals: Sequence[Mapping[str, Any]],
  is_text: bool,
) -> Cell:
  """Writes a cell of a row, which is itself among its rivals."""
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
  """A value as people write it: a decimal is enough, thousands stand apart."""
  if value is None:
    return "–"
  if percentage or (isinstance(value, float) and abs(value) >= 10):
    return f"{value:,.1f}"
  if isinstance(value, float):
    return f"{value:.3g}"
  return f"{value:,}" if type(value) is int else str(value)
