"""Formats rows of results as a table of text, for terminals."""

from collections.abc import Mapping, Sequence
from typing import Any

from hdc_jax.runs.results import LEFT_OUT

# Suffix of a column's name. The column with it has half the width of the 95 %
# confidence interval of the column without it.
CONFIDENCE = "_ci95"


def format_result(result: Mapping[str, Any]) -> str:
  """Formats the rows of a result, and says how many videos are left out.

  Args:
    result: Content of result.json.
  """
  return "\n".join([format_rows(result["rows"]), *describe_left_out(result)])


def describe_left_out(result: Mapping[str, Any]) -> list[str]:
  """Says how many videos a result leaves out; nothing if there are none.

  Args:
    result: Content of result.json.
  """
  count = len(result.get(LEFT_OUT, ()))
  videos = "1 video" if count == 1 else f"{count:,} videos"
  return [f"left out, as they cannot be decoded: {videos}"] if count else []


def format_rows(rows: Sequence[Mapping[str, Any]]) -> str:
  """Formats rows as a table, with columns in the order of their appearance.

  Args:
    rows: Values of each row by column. The column `name` is dropped if the
      other texts are unique.

  Returns:
    Lines of text: columns of texts at the left, then columns of numbers, with
    one decimal; '–' where a row has no value.
  """
  columns = list(dict.fromkeys(column for row in rows for column in row))
  columns = [c for c in columns if not c.endswith(CONFIDENCE)]
  texts = [c for c in columns if any(isinstance(r.get(c), str) for r in rows)]
  others = [c for c in texts if c != "name"]
  if len({tuple(row.get(c) for c in others) for row in rows}) == len(rows):
    texts = others
  numeric = [c for c in columns if c not in texts and c != "name"]
  heads = [c.replace("_", " ") for c in (*texts, *numeric)]
  cells = [
    [_cell(row, column) for column in (*texts, *numeric)] for row in rows
  ]
  widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]

  def line(values: Sequence[str]) -> str:
    padded = [
      value.ljust(width) if i < len(texts) else value.rjust(width)
      for i, (value, width) in enumerate(zip(values, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()

  return "\n".join(line(values) for values in (heads, *cells))


def _cell(row: Mapping[str, Any], column: str) -> str:
  """The text of a cell, with the confidence interval if there is one."""
  value, margin = row.get(column), row.get(column + CONFIDENCE)
  if value is None:
    return "–"
  if isinstance(value, float):
    return f"{value:,.1f}" + (f" ± {margin:.1f}" if margin is not None else "")
  return f"{value:,}" if type(value) is int else str(value)
