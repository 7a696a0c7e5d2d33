"""Compares the official split files of a dataset with the videos on disk.

A dataset reads its split files into `Line`s; `make_listing` combines them with
the files that exist. Every video ends up in the listing, in its `left_out`, or
in an error.
"""

import collections
import dataclasses
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from hdc_jax.data.datasets.base import Listing, VideoFile, escape_path
from hdc_jax.data.store.records import Segments
from hdc_jax.errors import DataError

_NUM_SHOWN = 3  # Number of items that a message lists.


class Line(NamedTuple):
  """A line of a split file.

  Attributes:
    video: Path of the video file below --source, or the path it would have.
    label: Name of its class; None if the line does not tell.
    split: Split that the line puts the video into; '' for none.
    fold: Fold that the line belongs to, 0 if there is only one. A fold names
      each video at most once.
    where: Name of the file and number of the line, for messages.
    group: See `VideoFile.group`.
  """

  video: str
  label: str | None
  split: str
  fold: int
  where: str
  group: str = ""


def make_listing(
  source: str,
  files: Sequence[str],
  lines: Sequence[Line],
  classes: Sequence[str],
  official: Mapping[str, int],
) -> Listing:
  """Lists the videos that the split files name and that exist.

  Videos of the same splits are neighbours, so that a split consists of few
  ranges of record numbers. Names are compared in Unicode's composed form (NFC),
  since macOS writes letters with accents in another one; ids are in this form.

  Args:
    source: Directory of the videos.
    files: Its video files, relative to it, see `base.find_videos`.
    lines: The lines of all split files.
    classes: Names of all classes, in order of their numbers.
    official: See `Listing.official`.

  Returns:
    The videos, with the label 'class' where the split files give one. Left out
    are videos that are 'missing' from the source, and files in the source that
    are 'unlisted'.

  Raises:
    DataError: If a fold names a video twice, in one split or in two, or if none
      of the listed videos exists.
  """
  lines = [line._replace(video=compose(line.video)) for line in lines]
  _check_listed_once(lines)
  labels: dict[str | None, dict[str, Segments]] = {
    name: {"class": ((0, i),)} for i, name in enumerate(classes)
  }
  splits: dict[str, list[str]] = {}
  line_of: dict[str, Line] = {}
  for line in lines:
    splits.setdefault(line.video, []).extend([line.split] if line.split else [])
    line_of[line.video] = line
  on_disk: dict[str, str] = {}
  for file in files:
    on_disk.setdefault(compose(file), file)
  missing = [video for video in splits if video not in on_disk]
  if len(missing) == len(splits):
    raise DataError(
      f"none of the listed videos is in {source}: {summarize(missing)}; "
      + (
        f"did you mean --source={meant}?"
        if (meant := _meant_source(source, on_disk, splits))
        else "--source and --splits do not belong together"
      )
    )
  videos = [
    VideoFile(
      path=os.path.join(source, file),
      id=escape_path(video),
      labels=labels.get(line_of[video].label, {}),
      splits=tuple(splits[video]),
      group=line_of[video].group,
    )
    for video, file in on_disk.items()
    if video in splits
  ]
  return Listing(
    videos=sorted(videos, key=lambda video: tuple(video.splits)),
    label_names={"class": list(classes)},
    official=official,
    left_out={
      "missing": [escape_path(video) for video in missing],
      "unlisted": [
        escape_path(file)
        for file in files
        if compose(file) not in splits or on_disk[compose(file)] != file
      ],
    },
  )


def compose(name: str) -> str:
  """Returns a name in Unicode's composed form, NFC."""
  return unicodedata.normalize("NFC", name)


def _meant_source(
  source: str, found: Iterable[str], listed: Mapping[str, object]
) -> str | None:
  """Looks for the listed videos one level above or below the source.

  Args:
    source: Directory of the videos.
    found: Its video files, relative to it.
    listed: The listed videos, relative to the right directory.

  Returns:
    The directory that was meant; None if it is neither of these.
  """
  parent, _, folder = source.rstrip("/").rpartition("/")
  if not folder or folder in (".", ".."):
    parent, folder = os.path.split(os.path.abspath(source))
  below: collections.Counter[str] = collections.Counter()
  for file in found:
    first, _, rest = file.partition("/")
    if f"{compose(folder)}/{file}" in listed:
      return parent or "."
    below[first] += rest in listed
  best = max(below, key=below.__getitem__, default="")
  return os.path.join(source, best) if best and below[best] else None


def _check_listed_once(lines: Iterable[Line]) -> None:
  """Raises a DataError if a fold names a video twice."""
  first_lines: dict[tuple[int, str], Line] = {}
  repeated = []
  for line in lines:
    first = first_lines.setdefault((line.fold, line.video), line)
    if first is not line:
      repeated.append(
        f"{line.video} (in {first.split or 'no split'} by {first.where}, in "
        f"{line.split or 'no split'} by {line.where})"
      )
  if repeated:
    raise DataError(
      f"videos that are listed twice: {summarize(repeated)}; take one of the "
      "lines out"
    )


def require_complete(listing: Listing, source: str) -> Listing:
  """Checks that the split files and the source name the same videos.

  Args:
    listing: The listing, from `make_listing`.
    source: Directory of the videos.

  Returns:
    The listing without these two reasons in `left_out`.

  Raises:
    DataError: If a listed video is missing, or a file in the source unlisted.
  """
  missing, unlisted = (listing.left_out[k] for k in ("missing", "unlisted"))
  if missing:
    raise DataError(
      f"videos that are listed but not in {source}: {summarize(missing)}; "
      "complete --source, the folder that holds the folders of the classes"
    )
  if unlisted:
    raise DataError(
      f"videos in {source} that no split file lists: {summarize(unlisted)}; "
      "move them elsewhere, or complete --splits"
    )
  others = {
    reason: paths
    for reason, paths in listing.left_out.items()
    if reason not in ("missing", "unlisted")
  }
  return dataclasses.replace(listing, left_out=others)


def check_classes(listing: Listing, splits: Iterable[str]) -> None:
  """Checks that each training split has videos of all classes.

  Args:
    listing: The listing, from `make_listing`.
    splits: Names of the splits to train on.

  Raises:
    DataError: If one of the splits has no video of some class.
  """
  for split in splits:
    if absent := absent_classes(listing, split):
      raise DataError(
        f"classes without a video in split {split}: {summarize(absent)}; "
        "complete --source, or take them out of the split files"
      )


def absent_classes(listing: Listing, split: str) -> list[str]:
  """Returns the names of the classes that a split has no video of."""
  present = {
    video.labels["class"][0][1]
    for video in listing.videos
    if split in video.splits and video.labels
  }
  classes = listing.label_names["class"]
  return [name for i, name in enumerate(classes) if i not in present]


def summarize(items: Sequence[str]) -> str:
  """Says how many items there are, and lists the first of them.

  Args:
    items: The items.

  Returns:
    The number and up to three items.

  Example:
    >>> summarize(["a.avi", "b.avi", "c.avi", "d.avi"])
    '4 (a.avi, b.avi, c.avi, …)'
  """
  more = ", …" if len(items) > _NUM_SHOWN else ""
  return f"{len(items):,} ({', '.join(items[:_NUM_SHOWN])}{more})"
