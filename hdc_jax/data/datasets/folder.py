"""Any folder of videos; if all are in sub-folders, these are the classes."""

import os
from collections.abc import Sequence

from hdc_jax.data.datasets.base import (
  Dataset,
  Listing,
  Request,
  VideoFile,
  escape_path,
  find_source_videos,
)

LAYOUT = """\
--source  any folder of videos; if all of them are in sub-folders, those
          of the first level are the classes
The only split is train.
"""


def list_videos(request: Request) -> Listing:
  """Lists the videos below `request.source`, all in the split 'train'.

  Args:
    request: The options; uses `source`.

  Returns:
    The videos, sorted by path, see `label_by_folder`.

  Raises:
    ConfigError: If no source was given.
    DataError: If the source is no directory, or holds no video.
  """
  source = request.required_source()
  return label_by_folder(source, find_source_videos(source))


def label_by_folder(directory: str, files: Sequence[str]) -> Listing:
  """Lists the videos of a folder, with their sub-folders as classes.

  Args:
    directory: The folder.
    files: Its video files from `find_videos`, relative to it; these paths
      become the ids.

  Returns:
    The videos in the order of `files`, all in the split 'train'. If all of them
    are in sub-folders, the label 'class' is the one of the first level;
    otherwise there is no label.
  """
  folders = [path.split("/")[0] if "/" in path else "" for path in files]
  names = sorted(set(folders)) if all(folders) else []
  classes = {name: number for number, name in enumerate(names)}
  return Listing(
    videos=[
      VideoFile(
        path=os.path.join(directory, path),
        id=escape_path(path),
        labels={"class": ((0, classes[folder]),)} if classes else {},
        splits=("train",),
      )
      for path, folder in zip(files, folders, strict=True)
    ],
    label_names={"class": names} if names else {},
  )


DATASET = Dataset(list_videos, LAYOUT)
