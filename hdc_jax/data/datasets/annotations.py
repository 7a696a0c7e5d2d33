"""Reads the annotations of published datasets in the --splits directory."""

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hdc_jax.errors import DataError
from hdc_jax.runtime import files


def find_file(
  directory: str, names: Sequence[str], *, required: bool = True
) -> str | None:
  """Finds a file of annotations by the names that it may have.

  Args:
    directory: The directory given as --splits.
    names: The names, the first that exists counts.
    required: Whether there has to be one.

  Returns:
    Its name; None if there is none.

  Raises:
    DataError: If there is none although it is required.
  """
  present = set(files.list_names(directory))
  found = next((name for name in names if name in present), None)
  if found is None and required:
    raise DataError(
      f"--splits={directory}: holds no {' or '.join(names)}; it is the "
      "directory of the official split files, see --help"
    )
  return found


def find_files(
  directory: str, names: Mapping[str, Sequence[str]]
) -> dict[str, str]:
  """Finds the list of each split; only that of train is required.

  Args:
    directory: The directory given as --splits.
    names: For each split, the names that its list may have.

  Returns:
    For each split that has a list, its name.

  Raises:
    DataError: If there is no list of train.
  """
  found = {
    split: find_file(directory, of_split, required=split == "train")
    for split, of_split in names.items()
  }
  return {split: name for split, name in found.items() if name}


def read_lines(directory: str, name: str) -> list[tuple[str, str]]:
  """Reads a text file of the --splits directory.

  Args:
    directory: The directory given as --splits.
    name: Name of the file.

  Returns:
    For each line that is not blank, its position for messages and its
    text, stripped.

  Raises:
    DataError: If there is no such file.
  """
  path = os.path.join(directory, name)
  try:
    # The text is decoded as names of files are, so that both can be compared.
    text = io.StringIO(files.read_text(path), newline=None)
    lines = [line.strip() for line in text]
  except OSError as error:
    raise DataError(
      f"{path}: {error.strerror}; --splits is the directory of the official "
      "split files, see --help"
    ) from error
  return [
    (f"{name} line {number}", text)
    for number, text in enumerate(lines, start=1)
    if text
  ]


def match_lines(
  directory: str, name: str, pattern: re.Pattern[str], wanted: str
) -> Iterator[tuple[str, re.Match[str]]]:
  """Reads a text file of the --splits directory whose lines are alike.

  Args:
    directory: The directory given as --splits.
    name: Name of the file.
    pattern: Pattern of a whole line.
    wanted: What a line is, for the message: 'like c000 Holding some clothes'.

  Yields:
    For each line that is not blank, its position for messages and the match.

  Raises:
    DataError: If there is no such file, or a line does not match.
  """
  for where, text in read_lines(directory, name):
    match = pattern.fullmatch(text)
    if not match:
      raise DataError(f"{where}: {text!r} is not {wanted}")
    yield where, match


def read_csv(
  directory: str, name: str, columns: Sequence[str]
) -> Iterator[tuple[str, dict[str, str]]]:
  """Reads a CSV file of the --splits directory.

  Args:
    directory: The directory given as --splits.
    name: Name of the file.
    columns: Names of columns that it has.

  Yields:
    For each row, its position for messages, and its cells by column.

  Raises:
    DataError: If there is no such file, if it lacks a column, or if a row has
      more cells than there are columns. Cells that are missing are empty.
  """
  path = os.path.join(directory, name)
  text = _read_text(path)
  rows = csv.DictReader(io.StringIO(text, newline=""), restval="")
  try:
    if missing := set(columns) - set(rows.fieldnames or ()):
      raise DataError(f"{path}: has no column {', '.join(sorted(missing))}")
    for row in rows:
      where = f"{name} line {rows.line_num}"
      if None in row:
        raise DataError(f"{where}: has more cells than columns")
      yield where, row
  except csv.Error as error:
    raise DataError(f"{path}: is no CSV file: {error}") from error


def _read_text(path: str) -> str:
  """Reads a file; DataError if it cannot be read."""
  try:
    return files.read_text(path)
  except OSError as error:
    raise DataError(f"{path}: {error.strerror}") from error


def read_json(directory: str, name: str) -> Any:
  """Reads a JSON file of the --splits directory.

  Args:
    directory: The directory given as --splits.
    name: Name of the file.

  Raises:
    DataError: If it cannot be read.
  """
  path = os.path.join(directory, name)
  text = _read_text(path)
  try:
    return json.loads(text)
  except (ValueError, RecursionError) as error:
    raise DataError(f"{path}: is no JSON file: {error}") from error


def read_items(
  directory: str, name: str, keys: Sequence[str]
) -> list[tuple[str, dict[str, Any]]]:
  """Reads a JSON list of objects that have some keys.

  Args:
    directory: The directory given as --splits.
    name: Name of the file.
    keys: The keys that each object has.

  Returns:
    For each object, its position for messages, and the object.

  Raises:
    DataError: If the file cannot be read or is no such list.
  """
  content = read_json(directory, name)
  if not isinstance(content, list):
    raise DataError(f"{os.path.join(directory, name)}: is no list of videos")
  items = [(f"{name} item {i}", item) for i, item in enumerate(content, 1)]
  for where, item in items:
    if not isinstance(item, dict) or not set(keys) <= item.keys():
      raise DataError(f"{where}: does not have {' and '.join(keys)}")
  return items
