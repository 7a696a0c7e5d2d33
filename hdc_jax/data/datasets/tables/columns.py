"""Tables with a header: one column for each label, and CSV files of Kinetics.

The columns of Kinetics are those of
https://github.com/cvdfoundation/kinetics-dataset.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from hdc_jax.data.datasets.tables.content import Content
from hdc_jax.data.datasets.tables.rows import Row, canonical_split
from hdc_jax.errors import DataError

_SPLIT = re.compile(r"split(\d*)")
_RESERVED = ("path", "group", "start", "end")
_MULTI_LABEL = "[]"  # End of the name of a column.


def read_columns(content: Content, delimiter: str, split: str) -> Iterator[Row]:
  """Reads a table with a column 'path'; every other column is a label.

  Choice: a column is multi-label if its name ends with '[]', whatever its cells
  hold, so that a class may have any name. Lists in Parquet are multi-label too.

  Args:
    content: The table.
    delimiter: What separates its cells.
    split: Split of all videos if there is no column 'split'.

  Yields:
    The rows.

  Raises:
    DataError: If a name of a column is repeated, or a cell cannot be read.
  """
  names = content.headers[delimiter]
  plain = [name.removesuffix(_MULTI_LABEL) for name in names]
  repeated = [name for name in plain if plain.count(name) > 1]
  if repeated or "" in plain:
    raise DataError(
      f"{content.path}: has several columns {repeated[0]!r}"
      if repeated and repeated[0]
      else f"{content.path}: has a column without a name"
    )
  folds = {
    name: match[1] for name in names if (match := _SPLIT.fullmatch(name))
  }
  labels = [name for name in names if name not in (*_RESERVED, *folds)]
  for where, cells in content.rows(delimiter):
    row = dict(zip(names, cells, strict=True))
    path = text_of(row["path"])
    if not path:
      raise DataError(f"{where}: has no path")
    start, end = (seconds_of(row.get(k), k, where) for k in ("start", "end"))
    if end is not None and end <= (start or 0):
      raise DataError(f"{where}: end={end:g} is not after start={start or 0:g}")
    classes = {name: text_of(row[name]) for name in labels}
    tags = [
      name
      for name in labels
      if name.endswith(_MULTI_LABEL) or isinstance(row[name], list)
    ]
    splits = [
      canonical_split(name) + fold
      for column, fold in folds.items()
      if (name := text_of(row[column]))
    ]
    yield Row(
      path=path,
      where=where,
      splits=splits if folds else [split],
      labels={k: v for k, v in classes.items() if v and k not in tags},
      tags={k.removesuffix(_MULTI_LABEL): _classes(row[k]) for k in tags},
      group=text_of(row.get("group")),
      start=start or 0.0,
      end=end,
    )


def read_kinetics(
  content: Content, delimiter: str, split: str
) -> Iterator[Row]:
  """Reads a CSV file of Kinetics, whose files are named by YouTube's id.

  Args:
    content: The table.
    delimiter: What separates its cells.
    split: Split of all videos if there is no column 'split'.

  Yields:
    The rows, with the label 'class'.

  Raises:
    DataError: If a row has no id, start or end.
  """
  names = content.headers[delimiter]
  for where, cells in content.rows(delimiter):
    row = dict(zip(names, map(text_of, cells), strict=True))
    video = row["youtube_id"]
    start, end = (
      seconds_of(row.get(name), name, where)
      for name in ("time_start", "time_end")
    )
    if not video or start is None or end is None:
      raise DataError(f"{where}: has no youtube_id, time_start or time_end")
    clip = f"{video}_{int(start):06d}_{int(end):06d}"
    named = canonical_split(row.get("split", ""))
    label = row.get("label")
    yield Row(
      path=clip,
      where=where,
      splits=[named or split],
      labels={"class": label} if label else {},
      stems=(clip, video),
    )


def text_of(cell: Any) -> str:
  """A cell as text.

  Args:
    cell: A cell of a text file, or a value of Parquet.

  Returns:
    The text without blanks at its ends; '' for a missing value, and a whole
    number without '.0'.

  Example:
    >>> text_of(" walk "), text_of(3.0), text_of(None)
    ('walk', '3', '')
  """
  if cell is None or (isinstance(cell, float) and math.isnan(cell)):
    return ""
  if isinstance(cell, float) and cell.is_integer():
    return str(int(cell))
  return str(cell).strip()


def seconds_of(cell: Any, name: str, where: str) -> float | None:
  """A cell as a time.

  Args:
    cell: A cell of a text file, or a value of Parquet.
    name: Name of its column.
    where: Its place, for the message.

  Returns:
    The time in seconds; None if the cell is empty.

  Raises:
    DataError: If the cell is no time.
  """
  text = text_of(cell)
  if not text:
    return None
  try:
    seconds = float(text)
  except ValueError:
    seconds = math.nan
  if not (math.isfinite(seconds) and seconds >= 0):
    raise DataError(f"{where}: {name}={text} is no time in seconds, as 12.5 is")
  return seconds


def _classes(cell: Any) -> Sequence[str]:
  """The classes in a cell: separated by ';' or '|', or a list of Parquet."""
  items = cell if isinstance(cell, list) else re.split(r"[;|]", text_of(cell))
  return list(dict.fromkeys(filter(None, map(text_of, items))))
