"""The formats of files that list videos, as data."""

import dataclasses
from collections.abc import Callable, Iterator

from hdc_jax.data.datasets.tables import columns, content
from hdc_jax.data.datasets.tables.bare_lists import CHOICES, read_list
from hdc_jax.data.datasets.tables.content import Content
from hdc_jax.data.datasets.tables.rows import Row, split_of_file
from hdc_jax.errors import ConfigError, DataError

__all__ = ["CHOICES", "HEADERS", "read"]


@dataclasses.dataclass(frozen=True)
class Header:
  """A format with a header.

  Attributes:
    name: What it is called in the summary and in messages.
    column: Name of the column by which it is recognised.
    read: Function that reads the rows of a table with some delimiter. The last
      argument is the split of rows that name none.
  """

  name: str
  column: str
  read: Callable[[Content, str, str], Iterator[Row]]


HEADERS = (
  Header("table with columns", "path", columns.read_columns),
  Header("CSV file of Kinetics", "youtube_id", columns.read_kinetics),
)
_LIST = "list of paths"  # Everything without one of these columns.


def read(path: str, choice: str | None) -> tuple[str, list[Row]]:
  """Reads a file that lists videos, in whatever format it is.

  Args:
    path: The file.
    choice: What the numbers of a list without header are, one of `CHOICES`;
      None if it has a header, or if the list itself tells.

  Returns:
    The name of the format, and the rows.

  Raises:
    ConfigError: If `choice` is needed, or of no use; or if Parquet cannot be
      read without another package.
    DataError: If the file cannot be read, or a row is not as it should be.
  """
  found = content.read(path)
  split = split_of_file(path)
  matching = (
    (header, delimiter)
    for header in HEADERS
    for delimiter, names in found.headers.items()
    if header.column in names
  )
  header, delimiter = next(matching, (None, ""))
  if header and choice:
    raise ConfigError(
      f"--table_format is of no use to {path}, a {header.name}: leave it out"
    )
  if header:
    name, rows = header.name, header.read(found, delimiter, split)
  elif found.lines:
    name, rows = _LIST, read_list(found, split, choice)
  else:
    raise DataError(
      f"{path}: has no column 'path', but {', '.join(found.headers[''])}"
    )
  listed = list(rows)
  if not listed:
    raise DataError(f"{path}: lists no videos")
  return name, listed
