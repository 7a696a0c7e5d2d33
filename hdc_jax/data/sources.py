"""The door to datasets: videos by number, prepared or as original files.

`open` returns a `Source`: `source[i]` is a video that has labels and decodes
any of its frames. Nothing else depends on whether the dataset was prepared,
except speed: prepared records are read some thirty times faster.

Several datasets with weights are one source, see `mixtures`.

Example:
  ```
  source = sources.open("/data/ucf101")
  for i in source.index.split("train1"):
    video = source[i]
    window = Window(0, 0, video.height, video.width)
    frames = video.read(range(16), window)  # uint8 Y [16, H, W] and UV
  ```
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from etils import epath

from hdc_jax.data import lanes, mixtures
from hdc_jax.data.datasets.base import VideoFile, find_videos
from hdc_jax.data.datasets.unprepared import OriginalVideo, UnpreparedDataset
from hdc_jax.data.store.cache import DEFAULT_CACHE
from hdc_jax.data.store.index import PREPARED_NAMES, Index
from hdc_jax.data.store.prepared import PreparedDataset, read_sample
from hdc_jax.data.store.records import Segments
from hdc_jax.data.video.frames import Frames, Indices, Window
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.runtime import buckets, files


class Video(Protocol):
  """One video, ready to decode any of its frames.

  Attributes:
    id: Name of the video, unique within the dataset.
    labels: For each label, `(first_frame, class)` segments, see
      `Record.labels`.
    tags: For each tag, the classes that the video shows, see `Record.tags`.
    group: Name of the group that the video belongs to; '' for none.
    num_frames: Number of frames.
    fps: Frames per second.
    height: Height of a frame in pixels; even.
    width: Width of a frame in pixels; even.
  """

  id: str
  labels: Mapping[str, Segments]
  tags: Mapping[str, Sequence[int]]
  group: str
  num_frames: int
  fps: float
  height: int
  width: int

  def read(self, indices: Indices, window: Window) -> Frames:
    """Decodes frames.

    Args:
      indices: `[T]` indices of frames, in any order, repeats included.
      window: The part of each frame to return.

    Returns:
      The windows `[T, window.height, window.width]`, in the order of `indices`.

    Raises:
      IndexError: If there are no indices, or the video has no such frame.
      ValueError: If the window is odd, empty or leaves the frame.
      DataError: If the frames cannot be decoded; names the video.
    """
    ...

  def label(self, name: str, frame: int) -> int:
    """Returns the class of a label at a frame.

    Args:
      name: Name of the label.
      frame: Index of the frame.

    Returns:
      The class.

    Raises:
      DataError: If the video has no such label.
    """
    ...


@runtime_checkable
class Fetchable(Protocol):
  """A video whose frames can be read ahead, before they are decoded."""

  def fetch(self, indices: Indices) -> None:
    """Reads frames ahead, see `RecordVideo.fetch`."""
    ...


class Source(Protocol):
  """A dataset. It can be pickled, and read from several threads at once.

  Attributes:
    index: What the dataset holds: labels, splits, counts, fingerprint.
  """

  index: Index

  def __len__(self) -> int:
    """Returns the number of videos."""
    ...

  def __getitem__(self, i: int) -> Video:
    """Opens a video.

    Args:
      i: Number of the video, from 0.

    Returns:
      The video.

    Raises:
      IndexError: If there is no such video.
      DataError: If it cannot be read.
    """
    ...


class Mixture:
  """Several datasets as one, see `mixtures`."""

  def __init__(self, datasets: Sequence[Source], index: Index) -> None:
    """Joins datasets.

    Args:
      datasets: The datasets, in the order of their record numbers.
      index: What is said of them together.
    """
    self.index, self._datasets = index, datasets
    self.reads_ranges = any(map(reads_ranges, datasets))
    self._ends = np.cumsum([len(dataset) for dataset in datasets])

  def __len__(self) -> int:
    return int(self._ends[-1])

  def __getitem__(self, i: int) -> Video:
    if not 0 <= i < len(self):
      raise IndexError(f"there is no video {i} among {len(self)}")
    number = int(np.searchsorted(self._ends, i, side="right"))
    dataset = self._datasets[number]
    return dataset[i - int(self._ends[number]) + len(dataset)]


def reads_ranges(source: Source) -> bool:
  """Whether a source reads records out of a bucket, a range at a time.

  Args:
    source: The videos.
  """
  ours = isinstance(source, PreparedDataset | Mixture)
  return ours and source.reads_ranges


def open(
  path: epath.PathLike,
  short_side: int = 128,
  cache: epath.PathLike = DEFAULT_CACHE,
  access: str = "copy",
  share: lanes.Share = lanes.ALL,
) -> Source:
  """Opens a dataset for reading; copies a prepared one out of its bucket.

  Args:
    path: Directory that `prepare` wrote, or any folder of video files; on a
      disk or in a bucket. Or several of them with weights: 'a:0.7,b:0.3'.
    short_side: Short side in pixels to which frames of original files are
      scaled; even. Prepared datasets have theirs already.
    cache: Local directory to which prepared datasets in buckets are copied.
    access: 'copy'; or 'stream' for reading prepared datasets where they are.
    share: What this process has of the batches, which says what it needs.

  Returns:
    The dataset.

  Raises:
    DataError: If there is no dataset, or part of it is missing.
    ConfigError: If access to the bucket is denied, if datasets do not mix, or
      if a folder of videos is to be streamed.
    StorageError: If the bucket fails.
  """
  if parts := mixtures.parse(path):
    opened = [
      open(part.path, short_side, cache, access, share) for part in parts
    ]
    return Mixture(opened, mixtures.join(parts, [s.index for s in opened]))
  with _os_errors_as_data_errors():
    unprepared = _open_unprepared(path, short_side)
    if unprepared is None:
      return PreparedDataset(epath.Path(path), cache, access, share)
    if access == "stream":
      raise ConfigError(
        f"config.data.access=stream: {path} is a folder of videos, which are "
        "read where they are: leave it out, or prepare them"
      )
    return unprepared


def sample(path: epath.PathLike, count: int, short_side: int = 128) -> Source:
  """Opens some videos of a dataset on a local disk, to measure with.

  Args:
    path: See `open`.
    count: Number of videos of a prepared dataset. They lie evenly spaced in it,
      and no checksum is made. A folder of files has all of its videos; of a
      mixture, each dataset has as many as its weight says.
    short_side: See `open`.

  Returns:
    The videos.

  Raises:
    DataError: If there is no dataset, or part of it is missing.
  """
  if parts := mixtures.parse(path):
    counts = mixtures.shares(count, [part.weight for part in parts])
    samples = [
      sample(part.path, count, short_side)
      for part, count in zip(parts, counts, strict=True)
    ]
    return Mixture(samples, samples[0].index)
  with _os_errors_as_data_errors():
    unprepared = _open_unprepared(path, short_side)
    return unprepared or read_sample(path, count)


def read_index(path: epath.PathLike, short_side: int = 128) -> Index:
  """Finds out what a dataset holds, without copying it out of a bucket.

  Args:
    path: See `open`.
    short_side: See `open`.

  Returns:
    The index of the dataset. All its shards exist.

  Raises:
    DataError: If there is no dataset, or part of it is missing.
    ConfigError: If access to the bucket is denied, or if datasets do not mix.
    StorageError: If the bucket fails.
  """

  def read(one: str) -> Index:
    unprepared = _open_unprepared(one, short_side)
    if unprepared is not None:
      return unprepared.index
    index = Index.load(one)
    index.check_shards(one)
    return index

  with _os_errors_as_data_errors():
    return mixtures.read_index(path, read)


def _open_unprepared(
  path: epath.PathLike, short_side: int
) -> UnpreparedDataset | None:
  """Opens a folder of videos; None if it has none, or `prepare` wrote to it."""
  buckets.check_access(path)
  directory = epath.Path(path)
  names = files.list_names(directory) if files.is_dir(path) else []
  is_prepared = any(map(PREPARED_NAMES.fullmatch, names))
  videos = find_videos(directory) if names and not is_prepared else []
  return UnpreparedDataset(directory, videos, short_side) if videos else None


@contextlib.contextmanager
def _os_errors_as_data_errors() -> Iterator[None]:
  """Turns an OSError, such as a missing permission, into a `DataError`."""
  try:
    yield
  except OSError as error:
    raise DataError(str(error)) from error


def open_video(path: str, short_side: int) -> Video:
  """Opens one video file, which is decoded in place.

  Args:
    path: A video file in any format that FFmpeg reads.
    short_side: Short side in pixels to which the frames are scaled; even.

  Returns:
    The video, without labels; its id is the name of the file.

  Raises:
    DataError: If the file cannot be opened or holds no video.
    StorageError: If a bucket fails.
  """
  file = VideoFile(path, os.path.basename(path), labels={}, splits=())
  return OriginalVideo(file, short_side)
