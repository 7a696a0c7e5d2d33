"""Kinetics-400, -600 and -700: videos of ten seconds, cut from YouTube.

The splits are 'train', 'val' and 'test', whatever the CSV files are called.
Many of the videos no longer exist on the web, so missing ones are counted and
listed. A video is recognised by the name of its file, in any folder below the
source; its class is that of the CSV file. Videos of a test.csv without labels
get none.

Kay et al., 2017, https://arxiv.org/abs/1705.06950; Carreira et al., 2018,
https://arxiv.org/abs/1808.01340, and 2019, https://arxiv.org/abs/1907.06987
"""

import collections
import dataclasses
import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence

from hdc_jax.data.datasets import annotations, lists
from hdc_jax.data.datasets.base import (
  Dataset,
  Listing,
  Request,
  escape_path,
  find_source_files,
)
from hdc_jax.data.datasets.lists import Line
from hdc_jax.errors import DataError
from hdc_jax.runtime import files

LAYOUT = """\
--source  folder of the videos, with or without sub-folders; a file is named
          by YouTube's id, start and end, as 0wR5jVB-WPk_000417_000427.mp4,
          or by the id alone
--splits  train.csv and, as far as wanted, val.csv (or validate.csv) and
          test.csv, with columns label, youtube_id, time_start, time_end;
          test.csv may lack the label
The splits are train, val and test. Videos that are not in --source are
listed in missing.txt, files that are in no CSV file in unlisted.txt. A file
in a folder replacement (or replacement_for_corrupted_k400) wins over others
of its name, which are listed in replaced.txt. Classes without a video in
--source are named in the summary.
"""

# Numbers of rows of the CSV files as first published, as far as they could be
# verified. Kinetics-700 is the edition of 2019; that of 2020 has other videos.
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
_REPLACEMENTS = {"replacement", "replacement_for_corrupted_k400"}
_COLUMNS = ("youtube_id", "time_start", "time_end")


def list_videos(official: Mapping[str, int], request: Request) -> Listing:
  """Lists one of the Kinetics datasets.

  Args:
    official: The counts of `OFFICIAL` for this dataset.
    request: The options; uses `source`, `splits` and `output`.

  Returns:
    The videos with the label 'class'; classes are numbered in the order of
    their names.

  Raises:
    ConfigError: If source or splits were not given.
    DataError: If files cannot be read or contradict each other.
  """
  source, splits = request.required_source(), request.required_splits()
  found = find_source_files(source, request.output)
  paths = _paths_by_stem(found.videos)
  replaced = _take_replacements(paths)
  videos = [path for path in found.videos if path not in replaced]
  lines = [
    line
    for name, split in _csv_files(splits).items()
    for line in _read_csv(splits, name, split, paths)
  ]
  classes = sorted(
    {line.label for line in lines if line.split == "train" and line.label}
  )
  allowed = {None, *classes}
  for line in lines:
    if line.label not in allowed:
      raise DataError(
        f"{line.where}: no video of train has the class {line.label!r}"
      )
  listing = lists.make_listing(source, videos, lines, classes, official)
  left_out = {**listing.left_out, **found.left_out}
  if replaced:
    left_out["replaced"] = [escape_path(p) for p in sorted(replaced)]
  absent = lists.absent_classes(listing, "train")
  notes = [
    f"classes without a video in split train: {len(absent):,} "
    f"({', '.join(absent)})"
  ]
  return dataclasses.replace(
    listing, left_out=left_out, notes=notes if absent else []
  )


def _take_replacements(paths: dict[str, list[str]]) -> set[str]:
  """Keeps only the replacement of a file where there is one.

  CVDF ships intact files for those of its archives that are corrupted.

  Args:
    paths: Paths by name of the file; changed in place.

  Returns:
    The paths that were taken out.
  """
  replaced: set[str] = set()
  for stem, same in paths.items():
    new = [p for p in same if _REPLACEMENTS & set(p.split("/")[:-1])]
    if new and len(new) < len(same):
      replaced.update(set(same) - set(new))
      paths[stem] = new
  return replaced


def _paths_by_stem(videos: Sequence[str]) -> dict[str, list[str]]:
  """Groups paths by the name of the file, without folders and extension."""
  paths = collections.defaultdict(list)
  for path in videos:
    paths[os.path.splitext(path.rpartition("/")[2])[0]].append(path)
  return paths


def _csv_files(directory: str) -> dict[str, str]:
  """Returns the split of each CSV file in a directory, by name of the file."""
  matches = map(_FILE.fullmatch, files.list_names(directory))
  split_of = {match[0]: _SPLITS[match["split"]] for match in matches if match}
  splits = list(split_of.values())
  if "train" not in splits or len(set(splits)) < len(splits):
    raise DataError(
      f"--splits={directory}: should hold train.csv, and one CSV file for each "
      f"other split; holds {', '.join(split_of) or 'none'}"
    )
  return split_of


def _read_csv(
  directory: str, name: str, split: str, paths: Mapping[str, Sequence[str]]
) -> Iterator[Line]:
  """Reads one CSV file.

  Args:
    directory: The directory given as --splits.
    name: Name of the CSV file.
    split: Split of its videos.
    paths: Paths of the video files below --source, by name without extension.

  Yields:
    A line for each row.
  """
  for where, row in annotations.read_csv(directory, name, _COLUMNS):
    label = row.get("label") or None
    try:
      start, end = (int(float(row[key])) for key in _COLUMNS[1:])
    except (ValueError, OverflowError) as error:
      raise DataError(f"{where}: has no start and end: {error}") from error
    if label is None and split != "test":
      raise DataError(f"{where}: has no label")
    clip = f"{row['youtube_id']}_{start:06d}_{end:06d}"
    matching = paths.get(clip) or paths.get(row["youtube_id"]) or [clip]
    if len(matching) > 1:
      raise DataError(
        f"{where}: the video has several files: {lists.summarize(matching)}; "
        "keep one"
      )
    yield Line(matching[0], label, split, 0, where)


DATASETS = {
  name: Dataset(
    functools.partial(list_videos, official), LAYOUT, needs_splits=True
  )
  for name, official in OFFICIAL.items()
}
