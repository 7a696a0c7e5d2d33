"""Any folder of videos; sub-folders, if all are in one, are the classes."""

import os
from collections.abc import Sequence

from hdc_jax.data.datasets.base import (
  Listing,
  Request,
  VideoFile,
  find_videos,
)
from hdc_jax.errors import ConfigError, DataError


def list_videos(request: Request) -> Listing:
  """Lists the videos below `request.source`, all in the split 'train'.

  Args:
    request: with a source.

  Returns:
    The videos by path; see `label_by_folder` for the label.

  Raises:
    ConfigError: if no source was given.
    DataError: if it is not a directory or holds no video.
  """
  if not request.source:
    raise ConfigError("--source is missing: the folder that holds the videos")
  if not os.path.isdir(request.source):
    raise DataError(f"--source={request.source}: no such directory")
  files = find_videos(request.source)
  if not files:
    raise DataError(
      f"no usable videos in {request.source}: found no video files"
    )
  return label_by_folder(request.source, files)


def label_by_folder(directory: str, files: Sequence[str]) -> Listing:
  """Makes a listing of files found by `find_videos`.

  Args:
    directory: that was searched.
    files: paths relative to it, which become the ids.

  Returns:
    The videos, with the label 'class', the first-level sub-folder, if each
    video is in one, and no label otherwise.
  """
  folders = [path.split("/")[0] if "/" in path else None for path in files]
  names = [] if None in folders else sorted(set(folders))
  classes = {name: number for number, name in enumerate(names)}
  return Listing(
    videos=[
      VideoFile(
        path=os.path.join(directory, path),
        id=os.fsencode(path).decode("utf-8", "backslashreplace"),
        labels={"class": ((0, classes[folder]),)} if classes else {},
        splits=("train",),
      )
      for path, folder in zip(files, folders, strict=True)
    ],
    label_names={"class": names} if names else {},
  )
