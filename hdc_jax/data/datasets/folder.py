"""Any folder of videos, with sub-folders as splits and classes."""

import collections
import dataclasses
import os
from collections.abc import Sequence

from hdc_jax.data.datasets.base import (
  Dataset,
  Listing,
  Request,
  VideoFile,
  escape_path,
  find_source_files,
)

LAYOUT = """\
--source  any folder of videos; its sub-folders, if there are any, are the
          classes: walk/1.mp4, run/2.mp4, …
If all sub-folders have names of splits (train or training; val, valid,
validate or validation; test or testing) and one of them is for training,
they are the splits train, val and test, and the folders in them are the
classes: train/walk/1.mp4, test/run/2.mp4, … Without such folders, the only
split is train. Videos beside the folders, not in one, are the split
unsorted.
"""

# The split of a folder, by its name in lower case.
SPLITS = {
  "train": "train",
  "training": "train",
  "val": "val",
  "valid": "val",
  "validate": "val",
  "validation": "val",
  "test": "test",
  "testing": "test",
}

# Choice: a video beside the folders has no class, so it is kept in a split of
# its own: in a split of videos with classes it would end every evaluation, and
# left out it would be lost.
UNSORTED = "unsorted"


def list_videos(request: Request) -> Listing:
  """Lists the videos below `request.source`.

  Args:
    request: The options; uses `source` and `output`.

  Returns:
    The videos, sorted by path, see `label_by_folder`. All other files are left
    out, with the reason.

  Raises:
    ConfigError: If no source was given.
    DataError: If the source is no directory, or holds no video.
  """
  source = request.required_source()
  found = find_source_files(source, request.output)
  listing = label_by_folder(source, found.videos)
  return dataclasses.replace(listing, left_out=found.left_out)


def label_by_folder(directory: str, files: Sequence[str]) -> Listing:
  """Lists the videos of a folder, with its sub-folders as splits and classes.

  Args:
    directory: The folder.
    files: Its video files from `find_videos`, relative to it; these paths
      become the ids.

  Returns:
    The videos in the order of `files`. If all folders of the first level that
    hold videos have names of splits, see `SPLITS`, and one of them is for
    training, they are the splits, and the folders of the second level are the
    classes. Otherwise the split is 'train', and the folders of the first level
    are the classes. Without folders of classes there is no label. Videos beside
    the folders of splits or classes are in the split 'unsorted'.
  """
  folders = [path.split("/")[:-1] for path in files]
  first = {path[0] for path in folders if path}
  split_of = {name: SPLITS.get(name.lower(), "") for name in sorted(first)}
  has_splits = all(split_of.values()) and "train" in split_of.values()
  depth = 1 if has_splits else 0  # Level of the folders of the classes.
  names = sorted({path[depth] for path in folders if len(path) > depth})
  numbers = {name: number for number, name in enumerate(names)}

  def list_video(path: str, folder: Sequence[str]) -> VideoFile:
    label = numbers[folder[depth]] if len(folder) > depth else None
    sorted_in = len(folder) >= depth and (label is not None or not names)
    split = split_of[folder[0]] if folder and has_splits else "train"
    return VideoFile(
      path=os.path.join(directory, path),
      id=escape_path(path),
      labels={} if label is None else {"class": ((0, label),)},
      splits=(split if sorted_in else UNSORTED,),
    )

  videos = list(map(list_video, files, folders))
  counts = collections.Counter(video.splits[0] for video in videos)
  return Listing(
    videos=videos,
    label_names={"class": names} if names else {},
    notes=_notes(split_of if has_splits else {}, names, counts[UNSORTED]),
  )


def _notes(
  split_of: dict[str, str], classes: Sequence[str], unsorted: int
) -> list[str]:
  """Says how the folders were understood.

  Args:
    split_of: Split of each folder that is one.
    classes: Names of the classes.
    unsorted: Number of videos beside the folders.
  """
  notes = []
  if split_of:
    named = ", ".join(
      name if name == split else f"{name} ({split})"
      for name, split in split_of.items()
    )
    below = "the folders in them the classes" if classes else "without classes"
    notes.append(f"folders that are splits: {named}; {below}")
  if unsorted:
    notes.append(
      f"{unsorted:,} videos beside the folders, not in one: split {UNSORTED}, "
      "without a class"
    )
  return notes


DATASET = Dataset(list_videos, LAYOUT)
