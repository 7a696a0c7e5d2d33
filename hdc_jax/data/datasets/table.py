"""Videos that files list: tables with columns, and the lists of other code.

`tables.formats` reads the files. Here their rows become videos: paths are
looked up, classes get numbers, and several rows of one video become one.
"""

import collections
import dataclasses
import os
import re
from collections.abc import Iterable, Sequence

from hdc_jax.data.datasets.base import (
  Dataset,
  Listing,
  Request,
  VideoFile,
  find_source_files,
)
from hdc_jax.data.datasets.discovery import SourceFiles
from hdc_jax.data.datasets.tables import formats, places
from hdc_jax.data.datasets.tables.places import Listed
from hdc_jax.data.datasets.tables.rows import Row
from hdc_jax.errors import ConfigError, DataError

LAYOUT = """\
--table   one or several files, each of any of these formats:
          - CSV, TSV or Parquet with a header: path; split, or split1,
            split2, … for folds; group; start and end in seconds; every
            other column is a label, with several classes in a cell (a;b or
            a|b) if the name of the column ends with []
          - lines of path, path class, or path class class …, separated by
            blanks, tabs, commas or ::, as SlowFast, VideoMAE, V-JEPA and
            mmaction2 have them
          - the CSV files of Kinetics
--source  the folder that the paths start from, by default that of the table
A file without a column split is the split that its name says, as val.csv
and k400_val_list.txt do; otherwise it is train. Videos without a file are
listed in missing.txt; if --source is given, videos that no row names in
unlisted.txt.
"""

_TRAIN = re.compile(r"train(\d*)")
_HELD_OUT = ("val", "test")  # No place for a training video of the same fold.


def list_videos(request: Request) -> Listing:
  """Lists the videos of the rows of `request.tables`.

  Args:
    request: The options; uses `tables`, `table_format`, `source` and `output`.

  Returns:
    The videos whose files exist. Videos of the same splits are neighbours.

  Raises:
    ConfigError: If the format of a file cannot be told or cannot be read, or if
      the files lie in several folders and no source was given.
    DataError: If a file cannot be read, rows contradict each other, or none of
      the videos exists.
  """
  source = _source_of(request)
  tables = {
    path: formats.read(path, request.table_format) for path in request.tables
  }
  rows = [row for _, of_table in tables.values() for row in of_table]
  # Which files there are matters only in these cases.
  search = request.source or any(row.stems for row in rows)
  found = (
    find_source_files(source, request.output)
    if search
    else SourceFiles(videos=(), left_out={})
  )
  stems = places.paths_by_stem(found)
  existing, left_out = places.keep_existing(
    [places.locate(row, source, stems) for row in rows]
  )
  videos, left_out["duplicates"] = _merge(existing)
  if request.source:
    unused = places.unused_files(found, source, existing)
    left_out["special"] = []  # The search has found them as well.
    left_out = unused | {r: ids for r, ids in left_out.items() if ids}
  return dataclasses.replace(
    _number_classes(videos),
    left_out={reason: ids for reason, ids in left_out.items() if ids},
    notes=[_note(path, *table) for path, table in tables.items()],
  )


def _source_of(request: Request) -> str:
  """The folder that all paths start from, without '/' at its end."""
  folders = {os.path.dirname(path) or "." for path in request.tables}
  if not request.source and len(folders) > 1:
    raise ConfigError(
      "--source is missing: the folder that paths start from, since the files "
      f"of --table lie in several: {', '.join(sorted(folders))}"
    )
  return (request.source or folders.pop()).rstrip("/") or "/"


def _note(path: str, format_name: str, rows: Sequence[Row]) -> str:
  """Says how a table was understood."""
  splits = sorted({split for row in rows for split in row.splits})
  return (
    f"{path}: {format_name}, {len(rows):,} rows, "
    f"split{'s' * (len(splits) > 1)} {', '.join(splits) or 'none'}"
  )


def _merge(
  items: Sequence[Listed],
) -> tuple[list[tuple[Listed, list[str]]], list[str]]:
  """Makes one video of rows that mean the same.

  Args:
    items: The rows.

  Returns:
    The first row of each video with all of its splits, and the ids of rows that
    repeat another one.

  Raises:
    DataError: If rows of a video contradict each other, or put it into training
      and test of one fold.
  """
  first: dict[str, Listed] = {}
  splits: dict[str, list[str]] = {}
  duplicates = []
  for item in items:
    row, known = item.row, first.setdefault(item.video_id, item).row
    if (row.labels, row.tags, row.group) != (
      known.labels,
      known.tags,
      known.group,
    ):
      raise DataError(
        f"{item.video_id}: {row.where} contradicts {known.where}: its classes "
        "or its group differ; take one of the lines out"
      )
    of_video = splits.setdefault(item.video_id, [])
    new = [split for split in row.splits if split not in of_video]
    if row is not known and not new:
      duplicates.append(item.video_id)
    of_video += new
    for split in of_video:
      fold = _TRAIN.fullmatch(split)
      held_out = [f"{name}{fold[1]}" for name in _HELD_OUT] if fold else []
      for other in set(held_out) & set(of_video):
        raise DataError(
          f"{item.video_id}: {row.where}, {known.where}: it is in {split} and "
          f"in {other}; take one of the lines out"
        )
  return [(item, splits[key]) for key, item in first.items()], duplicates


def _number_classes(videos: Sequence[tuple[Listed, list[str]]]) -> Listing:
  """Numbers the classes of all labels and tags.

  Args:
    videos: The rows of the videos, and their splits.

  Returns:
    The videos; those of the same splits are neighbours.

  Raises:
    DataError: If a name is that of a label in one file, of a tag in another.
  """
  classes: dict[str, set[str]] = collections.defaultdict(set)
  tags: dict[str, set[str]] = collections.defaultdict(set)
  for item, _ in videos:
    for name, label in item.row.labels.items():
      classes[name].add(label)
    for name, labels in item.row.tags.items():
      tags[name].update(labels)
  for name in classes.keys() & tags.keys():
    raise DataError(
      f"{name!r} has one class for a video in one file, several in another: "
      "give both the same columns, or --table_format=classes to lists"
    )
  label_names, tag_names = (
    {name: _sorted_classes(of_name) for name, of_name in sorted(found.items())}
    for found in (classes, tags)
  )
  numbers = {
    name: {label: number for number, label in enumerate(of_name)}
    for name, of_name in (label_names | tag_names).items()
  }
  made = [
    VideoFile(
      path=item.path,
      id=item.video_id,
      labels={
        name: ((0, numbers[name][label]),)
        for name, label in item.row.labels.items()
      },
      splits=tuple(splits),
      tags={
        name: sorted(numbers[name][label] for label in labels)
        for name, labels in item.row.tags.items()
      },
      # Parts of one file are alike, as clips of one film are.
      group=item.row.group
      or (item.file_id if item.video_id != item.file_id else ""),
      start=item.row.start,
      end=item.row.end,
    )
    for item, splits in videos
  ]
  return Listing(
    sorted(made, key=lambda video: tuple(video.splits)),
    label_names,
    tag_names=tag_names,
  )


def _sorted_classes(names: Iterable[str]) -> list[str]:
  """Sorts names of classes, as numbers if all of them are numbers.

  Classes 0 to N - 1 so have the numbers that they are called.
  """
  try:
    return sorted(names, key=lambda name: (int(name), name))
  except ValueError:
    return sorted(names)


DATASET = Dataset(list_videos, LAYOUT, needs_tables=True)
