"""Finds the videos that the annotation files of a published dataset name.

A dataset reads its annotations into `Entry`s, and `make_listing` looks for
their files by name, in any folder below the source. Many downloads are partial,
so entries without a file are left out as 'missing', and files that belong to no
entry as 'unlisted'.
"""

import collections
import os
import posixpath
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hdc_jax.data.datasets import lists
from hdc_jax.data.datasets.base import (
  Listing,
  Request,
  VideoFile,
  escape_path,
  find_source_files,
)
from hdc_jax.errors import DataError


class Place(NamedTuple):
  """Where a video may be.

  Attributes:
    stem: Name of the file without folders and extension.
    start: Where the video begins in the file, in seconds.
    end: Where it ends in the file, in seconds; None for the end of the file.
  """

  stem: str
  start: float = 0.0
  end: float | None = None


class Entry(NamedTuple):
  """A video, as annotations name it.

  Attributes:
    name: Its name; the id of the video.
    where: Name of the file and number of the line, for messages.
    split: Its split.
    label: Number of its class; None if the annotations do not tell.
    tags: Numbers of the classes that it shows, in datasets of tags.
    group: Its group, see `VideoFile.group`.
    places: Where it may be; the first whose file exists counts. If there are
      none, it is a whole file of its name.
  """

  name: str
  where: str
  split: str
  label: int | None = None
  tags: Sequence[int] = ()
  group: str = ""
  places: Sequence[Place] = ()


def make_listing(
  request: Request,
  entries: Sequence[Entry],
  classes: Sequence[str],
  official: Mapping[str, int],
  *,
  tag: str = "",
) -> Listing:
  """Lists the videos of the entries whose files exist.

  Args:
    request: The options; uses `source` and `output`.
    entries: The videos that the annotations name.
    classes: Names of the classes, in order of their numbers.
    official: See `Listing.official`.
    tag: Name of the tag whose classes these are; '' if they are those of the
      label 'class'.

  Returns:
    The videos; those of the same splits are neighbours. All files of the source
    that are not used are in `left_out`, with the reason.

  Raises:
    ConfigError: If no source was given.
    DataError: If entries contradict each other, a class has no name, a video
      has several files, or none of the videos exists.
  """
  source = request.required_source()
  found = find_source_files(source, request.output)
  paths = collections.defaultdict(list)
  for path in found.videos:
    paths[posixpath.splitext(posixpath.basename(path))[0]].append(path)
  entries, duplicates = _merge(entries, len(classes))
  videos, used, missing = [], set(), []
  for entry in entries:
    place = next(
      (p for p in entry.places or [Place(entry.name)] if p.stem in paths), None
    )
    if place is None:
      missing.append(entry.name)
      continue
    path, *others = paths[place.stem]
    if others:
      raise DataError(
        f"{entry.where}: the video has several files: "
        f"{lists.summarize([path, *others])}; keep one"
      )
    used.add(path)
    videos.append(
      VideoFile(
        path=os.path.join(source, path),
        id=escape_path(entry.name),
        labels={} if entry.label is None else {"class": ((0, entry.label),)},
        splits=(entry.split,),
        tags={tag: sorted(set(entry.tags))} if tag else {},
        group=entry.group,
        start=place.start,
        end=place.end,
      )
    )
  if not videos:
    raise DataError(
      f"none of the listed videos is in {source}: {lists.summarize(missing)}; "
      "--source and --splits do not belong together"
    )
  left_out = {
    "missing": missing,
    "duplicates": duplicates,
    "unlisted": [path for path in found.videos if path not in used],
  }
  names = {tag or "class": list(classes)}
  return Listing(
    videos=sorted(videos, key=lambda video: tuple(video.splits)),
    label_names={} if tag else names,
    official=official,
    left_out={
      reason: [escape_path(item) for item in items]
      for reason, items in {**left_out, **found.left_out}.items()
      if items
    },
    tag_names=names if tag else {},
  )


def _merge(
  entries: Sequence[Entry], num_classes: int
) -> tuple[list[Entry], list[str]]:
  """Separates entries from the names of those that repeat one.

  Raises:
    DataError: If entries contradict each other, or a class has no name.
  """
  first: dict[str, Entry] = {}
  duplicates = []
  for entry in entries:
    for label in [*entry.tags, *([] if entry.label is None else [entry.label])]:
      if not 0 <= label < num_classes:
        raise DataError(
          f"{entry.where}: there is no class {label} among {num_classes}"
        )
    known = first.setdefault(entry.name, entry)
    if known is entry:
      continue
    if known._replace(where="") != entry._replace(where=""):
      raise DataError(
        f"{entry.name}: {entry.where} contradicts {known.where}: its split or "
        "its classes differ; take one of the lines out"
      )
    duplicates.append(entry.name)
  return list(first.values()), duplicates
