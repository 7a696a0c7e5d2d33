"""Any folder of videos; sub-folders, if all are in one, are the classes."""

import os
from collections.abc import Sequence

from hdc_jax.data.datasets.base import (
  Dataset,
  Listing,
  Request,
  VideoFile,
  readable,
  source_videos,
)

LAYOUT = """\
--source  any folder of videos; if all of them are in sub-folders, those
          of the first level are the classes
The only split is train.
"""


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
  return label_by_folder(request.source, source_videos(request))


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
        id=readable(path),
        labels={"class": ((0, classes[folder]),)} if classes else {},
        splits=("train",),
      )
      for path, folder in zip(files, folders, strict=True)
    ],
    label_names={"class": names} if names else {},
  )


DATASET = Dataset(list_videos, LAYOUT)
