"""What every dataset gives to `prepare`: a list of videos."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence

from hdc_jax.data.store.records import Segments
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.runtime import files

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
    official: what the dataset's authors count, as far as it is known: 'videos',
      'classes' and the name of each split, to hold the result against.
    left_out: what becomes no record, by reason, such as 'missing'; each is
      written to a file beside the index.
  """

  videos: Sequence[VideoFile]
  label_names: Mapping[str, Sequence[str]]
  official: Mapping[str, int] = dataclasses.field(default_factory=dict)
  left_out: Mapping[str, Sequence[str]] = dataclasses.field(
    default_factory=dict
  )


@dataclasses.dataclass(frozen=True)
class Request:
  """What a dataset may be asked; each takes what it needs.

  Attributes:
    source: directory of the original files, if given.
    splits: directory of the official split files, if given.
    output: directory to prepare into.
    videos: number of videos to generate.
    seed: of what is generated.
    workers: processes to generate with.
  """

  source: str | None
  splits: str | None
  output: str
  videos: int
  seed: int
  workers: int


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A dataset that `prepare` knows.

  Attributes:
    list_videos: makes the listing.
    layout: what it expects on disk, for --help.
    needs_splits: whether it takes --splits, and cannot do without.
  """

  list_videos: Callable[[Request], Listing]
  layout: str
  needs_splits: bool = False

  def check(self, request: Request) -> None:
    """Raises an error if --splits is missing, of no use, or nowhere."""
    if self.needs_splits and not request.splits:
      raise ConfigError(
        "--splits is missing: the directory of the official split files, see "
        "--help"
      )
    if request.splits and not self.needs_splits:
      raise ConfigError("--splits is of no use to this dataset: leave it out")
    if request.splits and not files.is_dir(request.splits):
      raise DataError(f"--splits={request.splits}: no such directory")


def source_videos(request: Request) -> list[str]:
  """Finds the video files below `request.source`.

  Args:
    request: with a source.

  Returns:
    Paths relative to the source, see `find_videos`.

  Raises:
    ConfigError: if no source was given.
    DataError: if it is not a directory or holds no video.
  """
  if not request.source:
    raise ConfigError("--source is missing: the folder that holds the videos")
  if not files.is_dir(request.source):
    raise DataError(f"--source={request.source}: no such directory")
  videos = find_videos(request.source)
  if not videos:
    raise DataError(
      f"no usable videos in {request.source}: found no video files"
    )
  return videos


def find_videos(directory: os.PathLike[str] | str) -> list[str]:
  """Finds video files by their extension, in all sub-folders.

  Hidden files and folders are left alone.

  Args:
    directory: to search.

  Returns:
    Paths relative to the directory, with '/', sorted by folder and name.
  """
  found = [
    path
    for path in files.find_files(directory)
    if os.path.splitext(path)[1].lower() in EXTENSIONS
  ]
  return sorted(found, key=lambda path: path.split("/"))


def readable(path: str) -> str:
  r"""A path as text that any encoding can hold: bytes that are none as \xff."""
  return os.fsencode(path).decode("utf-8", "backslashreplace")
