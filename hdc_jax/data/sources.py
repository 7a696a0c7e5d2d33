"""Videos by number, from a prepared dataset or from original files.

Both look the same from here on: `source[i]` is a video that knows its labels
and decodes any frames. Prepared records are some thirty times faster.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from array_record.python.array_record_data_source import ArrayRecordDataSource
from etils import epath

from hdc_jax.data.datasets.base import VideoFile, find_videos
from hdc_jax.data.datasets.folder import label_by_folder
from hdc_jax.data.store import cache as cache_lib
from hdc_jax.data.store import records
from hdc_jax.data.store.records import Index, Record, Segments
from hdc_jax.data.video import codec
from hdc_jax.data.video.codec import Frames, Window
from hdc_jax.data.video.originals import Original
from hdc_jax.errors import DataError, StorageError
from hdc_jax.runtime import files as files_lib


class Video(Protocol):
  """One video, ready to decode any of its frames.

  Attributes:
    id: unique within the dataset.
    labels: see `Record.labels`.
    num_frames: number of frames.
    fps: frames per second.
    height: of a frame.
    width: of a frame.
  """

  id: str
  labels: Mapping[str, Segments]
  num_frames: int
  fps: float
  height: int
  width: int

  def read(self, indices: Sequence[int], window: Window) -> Frames:
    """Decodes frames, see `codec.decode`; a DataError names the video."""
    ...

  def label(self, name: str, frame: int) -> int:
    """The class of the named label at a frame."""
    ...


class Source(Protocol):
  """A dataset; can be pickled, and read from several threads at once.

  Attributes:
    index: what it holds.
  """

  index: Index

  def __len__(self) -> int:
    """Number of videos."""
    ...

  def __getitem__(self, i: int) -> Video:
    """Video `i`; IndexError where there is none, DataError if unreadable."""
    ...


def open(
  path: epath.PathLike,
  short_side: int = 128,
  cache: epath.PathLike = cache_lib.DEFAULT,
) -> Source:
  """Opens a dataset for reading.

  Args:
    path: directory that `prepare` wrote, or any directory of video files; on a
      disk or in a bucket.
    short_side: of the frames of original files, in pixels; prepared ones have
      theirs already.
    cache: local directory to which prepared datasets in buckets are copied.

  Returns:
    The dataset.

  Raises:
    DataError: if there is no dataset, or if part of it is missing.
  """
  with _as_data_errors():
    originals = _originals(path, short_side)
    return originals or _Prepared(epath.Path(path), cache)


def read_index(path: epath.PathLike, short_side: int = 128) -> Index:
  """What a dataset holds, without copying it out of a bucket.

  Args:
    path: see `open`.
    short_side: see `open`.

  Returns:
    Its index; all its shards are there.

  Raises:
    DataError: if there is no dataset, or if part of it is missing.
  """
  with _as_data_errors():
    originals = _originals(path, short_side)
    if originals:
      return originals.index
    index = Index.load(path)
    index.check_shards(path)
    return index


def _originals(path: epath.PathLike, short_side: int) -> "_Originals | None":
  """The video files of a directory in which nothing was prepared, if any."""
  files_lib.check(path)
  directory = epath.Path(path)
  inside = files_lib.names(directory) if files_lib.is_dir(path) else []
  ours = any(map(records.OURS.fullmatch, inside))
  files = find_videos(directory) if inside and not ours else []
  return _Originals(directory, files, short_side) if files else None


@contextlib.contextmanager
def _as_data_errors() -> Iterator[None]:
  try:
    yield
  except OSError as error:
    raise DataError(str(error)) from error


class _Prepared:
  """Records in shards."""

  def __init__(self, directory: epath.Path, cache: epath.PathLike) -> None:
    self.index = Index.load(directory)
    directory = cache_lib.local_copy(directory, self.index, cache)
    self.index.check_shards(directory)
    self._directory = os.fspath(directory)
    # With the ranges given, no shard is opened before it is read.
    self._records = ArrayRecordDataSource(
      [
        os.fspath(directory / f"{shard.name}[0:{shard.videos}]")
        for shard in self.index.shards
      ]
    )

  def __len__(self) -> int:
    return self.index.num_videos

  def __getitem__(self, i: int) -> Video:
    _check_number(i, len(self))
    try:
      return _RecordVideo(Record.from_bytes(self._records[i]))
    except (DataError, ValueError, RuntimeError) as error:
      raise DataError(f"{self._directory}: record {i}: {error}") from error

  def __repr__(self) -> str:
    return f"Prepared({self._directory}, {self.index.fingerprint[:12]})"


class _Originals:
  """Files as they are, decoded where they lie."""

  def __init__(
    self, directory: epath.Path, files: Sequence[str], short_side: int
  ) -> None:
    self._directory = os.fspath(directory)
    listing = label_by_folder(self._directory, files)
    self._files: Sequence[VideoFile] = listing.videos
    self._short_side = short_side
    ids = [file.id for file in self._files]
    sizes = files_lib.sizes([file.path for file in self._files])
    request = records.digest([short_side, list(zip(ids, sizes, strict=True))])
    self.index = Index(
      fingerprint=request,
      request=request,
      codec="original",
      short_side=short_side,
      num_videos=len(self._files),
      num_frames=None,
      labels=listing.label_names,
      splits={"train": [(0, len(self._files))]},
      shards=(),
      skipped=(),
    )

  def __len__(self) -> int:
    return len(self._files)

  def __getitem__(self, i: int) -> Video:
    _check_number(i, len(self))
    try:
      return _OriginalVideo(self._files[i], self._short_side)
    except StorageError as error:
      raise DataError(str(error)) from error

  def __repr__(self) -> str:
    return f"Originals({self._directory}, {self.index.fingerprint[:12]})"


class _RecordVideo:
  """A video of a prepared dataset."""

  def __init__(self, record: Record) -> None:
    self.id, self.labels = record.id, record.labels
    self._encoded = record.encoded
    self.num_frames = record.encoded.num_frames
    self.fps = record.encoded.fps
    self.height, self.width = record.encoded.height, record.encoded.width

  def read(self, indices: Sequence[int], window: Window) -> Frames:
    try:
      return codec.decode(self._encoded, indices, window)
    except DataError as error:
      raise DataError(f"{self.id}: {error}") from error

  def label(self, name: str, frame: int) -> int:
    return _label(self, name, frame)


class _OriginalVideo:
  """A video file; the same frames as its record would hold, bar encoding."""

  def __init__(self, file: VideoFile, short_side: int) -> None:
    self.id, self.labels = file.id, file.labels
    self._original = Original(file.path, short_side)
    self.num_frames, self.fps, self.height, self.width = self._original.probe()

  def read(self, indices: Sequence[int], window: Window) -> Frames:
    codec.check_window(window, self.height, self.width)
    wanted, order = codec.unique_frames(indices, self.num_frames)
    found = self._original.read(wanted.tolist())
    frames = codec.crop([found[i] for i in wanted.tolist()], window)
    return Frames(frames.y[order], frames.uv[order])

  def label(self, name: str, frame: int) -> int:
    return _label(self, name, frame)


def _label(video: Video, name: str, frame: int) -> int:
  if name not in video.labels:
    raise DataError(
      f"{video.id}: has no label {name!r}; it has "
      f"{', '.join(sorted(video.labels)) or 'none'}"
    )
  return records.label_at(video.labels[name], frame)


def _check_number(i: Any, count: int) -> None:
  if not 0 <= i < count:
    raise IndexError(f"video {i} of {count}")


def open_video(path: str, short_side: int) -> Video:
  """Opens one video file, to be decoded where it lies.

  Args:
    path: A file that PyAV can read.
    short_side: Short side of the frames that are given, in pixels.

  Raises:
    DataError: If it cannot be opened or holds no video.
  """
  file = VideoFile(path, os.path.basename(path), labels={}, splits=())
  return _OriginalVideo(file, short_side)
