"""Kinetics-400, -600 and -700: clips of ten seconds from YouTube.

The splits are 'train', 'val' and 'test', whatever the files call them. Part of
the videos is gone from the web, so those that are missing are counted and
listed. A clip is found by the name of its file, wherever below the source it
lies; its class is that of the CSV file. Clips of a test.csv without labels get
none.

Kay et al., 2017, https://arxiv.org/abs/1705.06950; Carreira et al., 2018,
https://arxiv.org/abs/1808.01340, and 2019, https://arxiv.org/abs/1907.06987
"""

import collections
import csv
import functools
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence

from hdc_jax.data.datasets import lists
from hdc_jax.data.datasets.base import (
  Dataset,
  Listing,
  Request,
  source_videos,
)
from hdc_jax.data.datasets.lists import Line
from hdc_jax.errors import DataError
from hdc_jax.runtime import files

LAYOUT = """\
--source  folder of the clips, in whatever sub-folders, called by YouTube's
          id, start and end, as in 0wR5jVB-WPk_000417_000427.mp4, or by the
          id alone
--splits  train.csv and, as far as wanted, val.csv (or validate.csv) and
          test.csv, with columns label, youtube_id, time_start, time_end;
          test.csv may lack the label
The splits are train, val and test. Clips that are gone from the web, and
from --source, end up in missing.txt, those in no CSV file in unlisted.txt.
"""

# Rows of the CSV files as first published, as far as they could be verified.
# Kinetics-700 is that of 2019: the edition of 2020 has other clips.
OFFICIAL: dict[str, dict[str, int]] = {
  "kinetics400": {
    "videos": 306245,
    "classes": 400,
    "train": 246534,
    "val": 19906,
    "test": 39805,
  },
  "kinetics600": {"classes": 600},
  "kinetics700": {"videos": 650317, "classes": 700},
}

_FILE = re.compile(
  r"(?:kinetics[-_]?\d*_)?(?P<split>train|val|validate|test)\.csv"
)
_SPLITS = {"train": "train", "val": "val", "validate": "val", "test": "test"}
_COLUMNS = ("youtube_id", "time_start", "time_end")


def list_videos(official: Mapping[str, int], request: Request) -> Listing:
  """Lists one of the Kinetics datasets.

  Args:
    official: its numbers.
    request: with source and splits.

  Returns:
    The clips with the label 'class', numbered by name.

  Raises:
    DataError: if files cannot be read or contradict each other.
  """
  videos = source_videos(request)
  paths = _by_name(videos)
  lines = [
    line
    for name, split in _csv_files(request.splits).items()
    for line in _read_csv(request.splits, name, split, paths)
  ]
  classes = sorted({line.label for line in lines if line.split == "train"})
  known = {None, *classes}
  for line in lines:
    if line.label not in known:
      raise DataError(
        f"{line.where}: no clip of train has the class {line.label!r}"
      )
  listing = lists.join(request.source, videos, lines, classes, official)
  lists.check_classes(listing, ["train"])
  return listing


def _by_name(videos: Sequence[str]) -> dict[str, list[str]]:
  """Paths by the name of the file, without folders and extension."""
  paths = collections.defaultdict(list)
  for path in videos:
    paths[os.path.splitext(path.rpartition("/")[2])[0]].append(path)
  return paths


def _csv_files(directory: str) -> dict[str, str]:
  """Names of the CSV files, and the split of each."""
  matches = map(_FILE.fullmatch, files.list_names(directory))
  found = {match[0]: _SPLITS[match["split"]] for match in matches if match}
  splits = list(found.values())
  if "train" not in splits or len(set(splits)) < len(splits):
    raise DataError(
      f"--splits={directory}: should hold train.csv, and one CSV file for each "
      f"other split; holds {', '.join(found) or 'none'}"
    )
  return found


def _read_csv(
  directory: str, name: str, split: str, paths: Mapping[str, Sequence[str]]
) -> Iterator[Line]:
  path = os.path.join(directory, name)
  rows = csv.DictReader(io.StringIO(files.read_text(path), newline=""))
  absent = set(_COLUMNS) - set(rows.fieldnames or ())
  if absent:
    raise DataError(f"{path}: has no column {', '.join(sorted(absent))}")
  for row in rows:
    where = f"{name} line {rows.line_num}"
    label = row.get("label") or None
    try:
      start, end = (int(float(row[key])) for key in _COLUMNS[1:])
    except (TypeError, ValueError) as error:
      raise DataError(f"{where}: has no start and end: {error}") from error
    if label is None and split != "test":
      raise DataError(f"{where}: has no label")
    clip = f"{row['youtube_id']}_{start:06d}_{end:06d}"
    found = paths.get(clip) or paths.get(row["youtube_id"]) or [clip]
    if len(found) > 1:
      raise DataError(
        f"{where}: the clip has several files: {lists.few(found)}; keep one"
      )
    yield Line(found[0], label, split, 0, where)


DATASETS = {
  name: Dataset(
    functools.partial(list_videos, official), LAYOUT, needs_splits=True
  )
  for name, official in OFFICIAL.items()
}
