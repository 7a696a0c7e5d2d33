"""The interface of a dataset: it lists its videos for `prepare`."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hdc_jax.data.datasets import discovery
from hdc_jax.data.datasets.discovery import SourceFiles
from hdc_jax.data.store.records import Segments
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.runtime import files


@dataclasses.dataclass(frozen=True)
class VideoFile:
  """One video file of a dataset.

  Attributes:
    path: Path of the file.
    id: Name of the video, such as its path: readable and unique within the
      dataset.
    labels: For each label, `(first_frame, class)` segments, see
      `Record.labels`.
    splits: Names of the splits that the video belongs to.
    tags: For each tag, the classes that the video shows, see `Record.tags`.
    group: Name of the group that the video belongs to, such as the film that
      it was cut out of; '' for none.
    start: Where the video begins in the file, in seconds.
    end: Where it ends in the file, in seconds; None for the end of the file.
  """

  path: str
  id: str
  labels: Mapping[str, Segments]
  splits: Sequence[str]
  tags: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)
  group: str = ""
  start: float = 0.0
  end: float | None = None

  @property
  def key(self) -> list[Any]:
    """What a record depends on, besides the content of the file."""
    key = [self.id, self.labels, self.splits]
    more = [self.tags, self.group, self.start, self.end]
    # The key of a video without any of these is that of earlier versions.
    return key + more if any(more) else key


@dataclasses.dataclass(frozen=True)
class Listing:
  """The videos of a dataset, in an order that is the same each time.

  Attributes:
    videos: The video files, in the order of their records.
    label_names: For each label, the names of its classes, in order of their
      numbers.
    official: The counts that the dataset's authors state, as far as they are
      known, to compare the prepared dataset with. Keys are 'videos', 'classes'
      and the names of splits.
    left_out: For each reason, such as 'missing', the videos that get no record
      for it. `prepare` writes them to a file beside the index.
    tag_names: For each tag, the names of its classes, in order of their
      numbers.
    notes: Lines for the summary of `prepare`: how labels and splits were found.
    generated: The options that the videos were generated with, see
      `Index.generated`; empty for videos that were not.
  """

  videos: Sequence[VideoFile]
  label_names: Mapping[str, Sequence[str]]
  official: Mapping[str, int] = dataclasses.field(default_factory=dict)
  left_out: Mapping[str, Sequence[str]] = dataclasses.field(
    default_factory=dict
  )
  tag_names: Mapping[str, Sequence[str]] = dataclasses.field(
    default_factory=dict
  )
  notes: Sequence[str] = ()
  generated: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Request:
  """The options of `prepare` that a dataset may use.

  Attributes:
    source: Directory of the original files; None if not given.
    splits: Directory of the official split files; None if not given.
    output: Directory to write the prepared dataset to.
    videos: Number of videos to generate.
    seed: Seed of the generated videos.
    workers: Number of processes that generate videos.
    tables: Files that list the videos.
    table_format: Name of the format of these files, one of
      `table_formats.CHOICES`; None to recognise it.
    world: Name of the world of generated videos, a key of `worlds.WORLDS`; None
      for the default one.
    world_options: Options of this world, as far as they were given.
  """

  source: str | None
  splits: str | None
  output: str
  videos: int
  seed: int
  workers: int
  tables: Sequence[str] = ()
  table_format: str | None = None
  world: str | None = None
  world_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def required_source(self) -> str:
    """Returns the directory of the original files.

    Raises:
      ConfigError: If it was not given.
    """
    if not self.source:
      raise ConfigError("--source is missing: the folder that holds the videos")
    return self.source

  def required_splits(self) -> str:
    """Returns the directory of the official split files.

    Raises:
      ConfigError: If it was not given.
    """
    if not self.splits:
      raise ConfigError(
        "--splits is missing: the directory of the official split files, see "
        "--help"
      )
    return self.splits


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A dataset that `prepare` knows.

  Attributes:
    list_videos: Function that lists the videos; it may have to generate them.
    layout: Description of the expected files, for --help.
    needs_splits: Whether --splits is required; otherwise it is refused.
    needs_tables: Whether --table is required; otherwise it is refused, and
      --table_format as well.
    has_worlds: Whether --world and its options are of use; otherwise they are
      refused.
  """

  list_videos: Callable[[Request], Listing]
  layout: str
  needs_splits: bool = False
  needs_tables: bool = False
  has_worlds: bool = False

  def check(self, request: Request) -> None:
    """Checks that the dataset gets what it needs, and nothing else.

    Args:
      request: The options to check.

    Raises:
      ConfigError: If --splits or --table is missing, or if one of them or
        --table_format, or --world or an option of it, is given to a dataset
        without use for it.
      DataError: If --splits is no directory.
    """
    if self.needs_splits:
      request.required_splits()
    if self.needs_tables and not request.tables:
      raise ConfigError("--table is missing: the files that list the videos")
    useless = {
      "splits": request.splits and not self.needs_splits,
      "table": request.tables and not self.needs_tables,
      "table_format": request.table_format and not self.needs_tables,
      "world": request.world and not self.has_worlds,
      **dict.fromkeys(request.world_options, not self.has_worlds),
    }
    for flag, is_useless in useless.items():
      if is_useless:
        raise ConfigError(
          f"--{flag} is of no use to this dataset: leave it out"
        )
    if request.splits and not files.is_dir(request.splits):
      raise DataError(f"--splits={request.splits}: no such directory")


def find_source_files(source: str, output: str | None = None) -> SourceFiles:
  """Sorts the files in the directory given as --source.

  Args:
    source: The directory.
    output: The directory given as --output, which is not searched.

  Returns:
    All files, videos and others; at least one video. The paths of the others
    are printable, see `escape_path`.

  Raises:
    DataError: If there is no such directory, or no video in it.
  """
  if not files.is_dir(source):
    raise DataError(f"--source={source}: no such directory")
  found = discovery.find_files(source, output)
  if not found.videos:
    others = sum(map(len, found.left_out.values()))
    raise DataError(
      f"no usable videos in {source}: found no video files"
      + (f" among {others:,}" if others else "")
    )
  left_out = {
    reason: [escape_path(path) for path in paths]
    for reason, paths in found.left_out.items()
  }
  return SourceFiles(found.videos, left_out)


def find_videos(directory: os.PathLike[str] | str) -> list[str]:
  """Finds the video files in a directory and its sub-folders.

  Args:
    directory: The directory to search.

  Returns:
    Paths relative to the directory, see `discovery.SourceFiles.videos`.
  """
  return list(discovery.find_files(directory).videos)


def escape_path(path: str) -> str:
  r"""Makes a path printable: bytes that are not UTF-8 are escaped.

  Args:
    path: The path, in which `os` holds such bytes as surrogates.

  Returns:
    The path as text that any encoding can hold.

  Example:
    >>> print(escape_path(os.fsdecode(b"caf\xe9.avi")))
    caf\xe9.avi
  """
  return os.fsencode(path).decode("utf-8", "backslashreplace")
