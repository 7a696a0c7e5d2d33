"""What the split files of a dataset name, held against what is on disk.

A dataset reads its files into `Line`s; `join` makes a listing of them and of
the files that were found. Every video ends up in the listing, in one of its
`left_out`, or in an error.
"""

import dataclasses
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from hdc_jax.data.datasets.base import Listing, VideoFile, readable
from hdc_jax.errors import DataError
from hdc_jax.runtime import files as files_lib

_SHOWN = 3  # of many offenders, in an error


class Line(NamedTuple):
  """A line of a split file.

  Attributes:
    video: path of the file below --source, or how it would be called.
    label: the name of its class, None where the line does not tell.
    split: the split it puts the video into, '' for none.
    fold: which of several divisions into splits it is part of; each names a
      video at most once.
    where: the line, for errors.
  """

  video: str
  label: str | None
  split: str
  fold: int
  where: str


def read(directory: str, name: str) -> list[tuple[str, str]]:
  """Reads a text file of the --splits directory.

  Args:
    directory: given as --splits.
    name: of the file.

  Returns:
    Where it is, for errors, and the text of each line that is not empty,
    without the blanks around it.

  Raises:
    DataError: if there is no such file.
  """
  path = os.path.join(directory, name)
  try:
    # Decoded as names are, so that they can be compared.
    text = io.StringIO(files_lib.read_text(path), newline=None)
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


def join(
  source: str,
  files: Sequence[str],
  lines: Sequence[Line],
  classes: Sequence[str],
  official: Mapping[str, int],
) -> Listing:
  """Makes a listing of the videos that are both listed and there.

  Those of the same splits lie together, so that a split is few ranges of
  record numbers.

  Args:
    source: directory of the videos.
    files: found there, see `base.find_videos`.
    lines: of all split files.
    classes: all of them; their order numbers them.
    official: see `Listing.official`.

  Returns:
    The videos, with the label 'class' where one is told. Left out are those
    'missing' from the source, and those that are there but 'unlisted'.

  Raises:
    DataError: if a fold names a video twice, be it in one split or in two, or
      if none of the videos is there.
  """
  _check_once(lines)
  labels = {name: {"class": ((0, i),)} for i, name in enumerate(classes)}
  splits: dict[str, list[str]] = {}
  label_of = {}
  for line in lines:
    splits.setdefault(line.video, []).extend([line.split] if line.split else [])
    label_of[line.video] = line.label
  on_disk = set(files)
  missing = [video for video in splits if video not in on_disk]
  if len(missing) == len(splits):
    raise DataError(
      f"none of the listed videos is in {source}: {few(missing)}; --source and "
      "--splits do not belong together"
    )
  videos = [
    VideoFile(
      path=os.path.join(source, video),
      id=readable(video),
      labels=labels.get(label_of[video], {}),
      splits=tuple(splits[video]),
    )
    for video in files
    if video in splits
  ]
  return Listing(
    videos=sorted(videos, key=lambda video: video.splits),
    label_names={"class": list(classes)},
    official=official,
    left_out={
      "missing": [readable(video) for video in missing],
      "unlisted": [readable(video) for video in files if video not in splits],
    },
  )


def _check_once(lines: Iterable[Line]) -> None:
  """Refuses a video that is in train and test of a fold, or twice in one."""
  first: dict[tuple[int, str], Line] = {}
  twice = []
  for line in lines:
    other = first.setdefault((line.fold, line.video), line)
    if other is not line:
      twice.append(
        f"{line.video} (in {other.split or 'no split'} by {other.where}, in "
        f"{line.split or 'no split'} by {line.where})"
      )
  if twice:
    raise DataError(
      f"videos that are listed twice: {few(twice)}; take one of the lines out"
    )


def complete(listing: Listing, source: str) -> Listing:
  """Refuses to leave anything out.

  Args:
    listing: made by `join`.
    source: directory of the videos.

  Returns:
    The listing, which leaves nothing out.

  Raises:
    DataError: if a listed video is missing, or one that is there not listed.
  """
  missing, unlisted = (listing.left_out[k] for k in ("missing", "unlisted"))
  if missing:
    raise DataError(
      f"videos that are listed but not in {source}: {few(missing)}; complete "
      "--source, the folder that holds those of the classes"
    )
  if unlisted:
    raise DataError(
      f"videos in {source} that no split file lists: {few(unlisted)}; move "
      "them elsewhere, or complete --splits"
    )
  return dataclasses.replace(listing, left_out={})


def check_classes(listing: Listing, splits: Iterable[str]) -> None:
  """Refuses classes that cannot be learned.

  Args:
    listing: made by `join`.
    splits: to train on.

  Raises:
    DataError: if one of the splits has no video of some class.
  """
  classes = listing.label_names["class"]
  for split in splits:
    seen = {
      video.labels["class"][0][1]
      for video in listing.videos
      if split in video.splits and video.labels
    }
    absent = [name for i, name in enumerate(classes) if i not in seen]
    if absent:
      raise DataError(
        f"classes without a video in split {split}: {few(absent)}; complete "
        "--source, or take them out of the split files"
      )


def few(items: Sequence[str]) -> str:
  """How many items there are, and the first of them."""
  more = ", …" if len(items) > _SHOWN else ""
  return f"{len(items):,} ({', '.join(items[:_SHOWN])}{more})"
