"""The content of a file that lists videos: lines of text, or cells."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from hdc_jax.errors import ConfigError, DataError
from hdc_jax.runtime import files

_DELIMITERS = (",", "\t")


class Line(NamedTuple):
  """A line of text, or a row of cells.

  Attributes:
    where: Name of the file and number of the line or row, for messages.
    content: The line without blanks at its ends, or the cells.
  """

  where: str
  content: Any


class Content(NamedTuple):
  """What a file holds.

  Attributes:
    path: Path of the file.
    headers: What may be the names of its columns, in lower case, by delimiter;
      the only delimiter of Parquet is ''.
    lines: The lines of a text file that are not blank.
    cells: The rows of Parquet, with as many cells as there are columns.
  """

  path: str
  headers: dict[str, list[str]]
  lines: Sequence[Line]
  cells: Sequence[Line]

  def rows(self, delimiter: str) -> Iterator[Line]:
    """Reads the rows of a table, which follow its header.

    Args:
      delimiter: What separates the cells; '' for Parquet.

    Yields:
      The rows, with as many cells as there are columns.

    Raises:
      DataError: If a row has fewer cells or more, or cannot be read.
    """
    if not delimiter:
      yield from self.cells
      return
    width = len(self.headers[delimiter])
    reader = csv.reader(
      io.StringIO(_read_text(self.path), newline=""), delimiter=delimiter
    )
    try:
      next(row for row in reader if any(map(str.strip, row)))
      for row in reader:
        if not any(map(str.strip, row)):
          continue
        where = f"{self.path} line {reader.line_num}"
        if len(row) != width:
          raise DataError(f"{where}: has {len(row)} cells instead of {width}")
        yield Line(where, row)
    except csv.Error as error:
      raise DataError(f"{self.path} line {reader.line_num}: {error}") from error


def read(path: str) -> Content:
  """Reads a file that lists videos.

  Args:
    path: A text file or, if its name says so, a Parquet file.

  Returns:
    Its content.

  Raises:
    ConfigError: If a Parquet file cannot be read without another package.
    DataError: If the file does not exist, or is neither text nor Parquet.
  """
  if os.path.splitext(path)[1].lower() in (".parquet", ".pq"):
    return _read_parquet(path)
  text = _read_text(path)
  lines = [
    Line(f"{path} line {number}", line.strip())
    for number, line in enumerate(io.StringIO(text, newline=None), start=1)
    if line.strip()
  ]
  if not lines:
    raise DataError(f"{path}: lists no videos")
  try:
    headers = {
      delimiter: _names(
        next(csv.reader([lines[0].content], delimiter=delimiter))
      )
      for delimiter in _DELIMITERS
    }
  except csv.Error as error:
    raise DataError(f"{lines[0].where}: {error}") from error
  return Content(path, headers, lines, ())


def _read_text(path: str) -> str:
  text = _read_bytes(path)
  if b"\0" in text:
    raise DataError(f"{path}: is no text in UTF-8, nor named .parquet")
  # As names of files are decoded, so that both can be compared.
  return text.decode("utf-8-sig", "surrogateescape")


def _read_bytes(path: str) -> bytes:
  try:
    return files.read(path)
  except OSError as error:
    raise DataError(f"--table={path}: {error.strerror}") from error


def _names(cells: Sequence[str]) -> list[str]:
  return [cell.strip().lower() for cell in cells]


def _read_parquet(path: str) -> Content:
  try:
    import pyarrow.parquet
  except ImportError as error:
    raise ConfigError(
      f"--table={path}: Parquet needs `pip install pyarrow`"
    ) from error
  content = _read_bytes(path)
  try:
    table = pyarrow.parquet.read_table(io.BytesIO(content))
    columns = [column.to_pylist() for column in table.columns]
  except Exception as error:  # a damaged file raises anything
    reason = str(error).partition("\n")[0]
    raise DataError(f"{path}: is no Parquet file: {reason}") from error
  rows = enumerate(zip(*columns, strict=True), start=1)
  return Content(
    path,
    {"": _names(table.column_names)},
    (),
    [Line(f"{path} row {number}", list(cells)) for number, cells in rows],
  )
