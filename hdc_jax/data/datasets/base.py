"""What every dataset gives to `prepare`: a list of videos."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

from hdc_jax.data.records import Segments

EXTENSIONS = frozenset({
  ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov",
  ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv",
})  # fmt: skip


@dataclasses.dataclass(frozen=True)
class VideoFile:
  """One video as it lies on disk.

  Attributes:
    path: of the file.
    id: unique within the dataset, and readable.
    labels: see `Record.labels`.
    splits: names of the splits it belongs to.
  """

  path: str
  id: str
  labels: Mapping[str, Segments]
  splits: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Listing:
  """The videos of a dataset, in an order that is the same each time.

  Attributes:
    videos: the files.
    label_names: the names of the classes of each label, by class.
  """

  videos: Sequence[VideoFile]
  label_names: Mapping[str, Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Request:
  """What a dataset may be asked; each takes what it needs.

  Attributes:
    source: directory of the original files, if given.
    output: directory to prepare into.
    videos: number of videos to generate.
    seed: of what is generated.
    workers: processes to generate with.
  """

  source: str | None
  output: str
  videos: int
  seed: int
  workers: int


def find_videos(directory: os.PathLike[str] | str) -> list[str]:
  """Finds video files by their extension, in all sub-folders.

  Hidden files and folders are left alone.

  Args:
    directory: to search.

  Returns:
    Paths relative to the directory, with '/', sorted by folder and name.
  """
  found = []
  for folder, subfolders, names in os.walk(directory, followlinks=True):
    subfolders[:] = [name for name in subfolders if not name.startswith(".")]
    found += [
      os.path.relpath(os.path.join(folder, name), directory)
      for name in names
      if os.path.splitext(name)[1].lower() in EXTENSIONS
      and not name.startswith(".")
    ]
  return sorted(
    (path.replace(os.sep, "/") for path in found), key=lambda p: p.split("/")
  )
