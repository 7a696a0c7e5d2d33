"""Reading of prepared datasets: videos by record number."""

import contextlib
import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from etils import epath

from hdc_jax.data import lanes
from hdc_jax.data.store import cache as cache_lib
from hdc_jax.data.store import checksums, records
from hdc_jax.data.store.index import Index
from hdc_jax.data.store.ranged_shards import PartlyCopied, RangedShards
from hdc_jax.data.store.records import Record
from hdc_jax.data.store.shard_files import Chosen, ShardFiles, Stored
from hdc_jax.data.video import codec
from hdc_jax.data.video import frames as frames_lib
from hdc_jax.data.video.codec import Encoded
from hdc_jax.data.video.frames import Frames, Indices, Window
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.runtime.buckets import is_remote


class ForeignRecordError(DataError):
  """A record is whole, but of another dataset than the index describes."""


class RecordVideo:
  """A video of a prepared dataset, see `sources.Video`."""

  def __init__(
    self,
    record: Record,
    read_chunk: Callable[[int], Encoded],
    fetch: Callable[[Sequence[int]], None],
  ) -> None:
    """Makes a video of a record.

    Args:
      record: The record.
      read_chunk: Reads a chunk of the video by its number.
      fetch: Reads several chunks ahead by their increasing numbers.
    """
    self.id, self.labels = record.id, record.labels
    self.tags, self.group = record.tags, record.group
    self.num_frames, self.fps = record.num_frames, record.fps
    self.height, self.width = record.height, record.width
    self._chunk_frames, self._read_chunk = record.chunk_frames, read_chunk
    self._fetch = fetch

  def fetch(self, indices: Indices) -> None:
    """Reads ahead the chunks that hold frames, if they are in a bucket.

    Args:
      indices: `[T]` indices of frames, in any order.

    Raises:
      DataError: If they cannot be read.
      StorageError: If the bucket fails.
    """
    unique, _ = codec.unique_frames(indices, self.num_frames)
    numbers = sorted(set((unique // self._chunk_frames).tolist()))
    # Chunks that follow each other are read at once.
    runs = itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    for _, run in runs:
      self._fetch([number for _, number in run])

  def read(self, indices: Indices, window: Window) -> Frames:
    """Decodes frames out of the chunks that hold them, see `sources.Video`."""
    frames_lib.check_window(window, self.height, self.width)
    unique, order = codec.unique_frames(indices, self.num_frames)
    numbers = unique // self._chunk_frames
    try:
      parts = [
        codec.decode_sorted(
          self._read_chunk(number),
          unique[numbers == number] - number * self._chunk_frames,
          window,
        )
        for number in sorted(set(numbers.tolist()))
      ]
    except DataError as error:
      raise DataError(f"{self.id}: {error}") from error
    return frames_lib.reordered(parts, order)

  def label(self, name: str, frame: int) -> int:
    """Returns the class at a frame, see `sources.Video.label`."""
    return records.find_label(self.id, self.labels, name, frame)


class PreparedDataset:
  """A prepared dataset, see `sources.Source`.

  Attributes:
    index: What the dataset holds.
    reads_ranges: Whether all is read out of a bucket, a range at a time.
  """

  def __init__(
    self,
    directory: epath.Path,
    cache: epath.PathLike,
    access: str = "copy",
    share: lanes.Share = lanes.ALL,
  ) -> None:
    """Opens a dataset.

    The shards that this process needs are compared with their checksums, and
    copied to the cache first if they are in a bucket; others, of which the
    online probe reads some videos, are read where they are.

    Args:
      directory: Directory that `prepare` wrote, on a disk or in a bucket.
      cache: Local directory for copies of datasets in buckets.
      access: 'copy'; or 'stream' for reading every shard where it is, without
        checksums.
      share: What this process has of the batches.

    Raises:
      DataError: If the index or a shard is missing or damaged, or a shard is
        not the one that the index names.
      StorageError: If a bucket fails.
    """
    self.index = index = Index.load(directory)
    remote = is_remote(directory)
    needed = share.needs(len(index.shards))
    self._directory, self.reads_ranges = os.fspath(directory), False
    self._stored: Stored
    if access == "stream":
      index.check_shards(directory)
      self.reads_ranges = remote
      kind = RangedShards if remote else ShardFiles
      self._stored = kind(directory, index.shards)
      return
    part = dataclasses.replace(
      index, shards=list(itertools.compress(index.shards, needed))
    )
    copy = cache_lib.copy_if_remote(directory, part, cache)
    (part if remote else index).check_shards(copy)
    checksums.check(copy, part, cache)
    self._directory = os.fspath(copy)
    self._stored = ShardFiles(copy, index.shards)
    if remote and not all(needed):
      far = RangedShards(directory, index.shards)
      self._stored = PartlyCopied(self._stored, far, index.shards, needed)

  def __len__(self) -> int:
    return len(self._stored)

  def __getitem__(self, i: int) -> RecordVideo:
    if not 0 <= i < len(self):
      raise IndexError(f"there is no video {i} among {len(self)}")
    with self._errors_named(f"record {i}"):
      record = Record.from_bytes(self._stored.record(i))
      self._check_belongs(record)
      if record.packets:
        whole = record.encoded(record.packets)
        return RecordVideo(record, lambda _: whole, lambda _: None)
      last = record.first_chunk + record.num_chunks
      if last > self._stored.num_chunks(i):
        raise DataError(f"{record.id} has chunks that are not in its shard")
    return RecordVideo(
      record,
      functools.partial(self._read_chunk, i, record),
      functools.partial(self._fetch, i, record),
    )

  def _read_chunk(self, i: int, record: Record, number: int) -> Encoded:
    """Reads a chunk of a video by its number among those of the video."""
    with self._errors_named(f"record {i}: chunk {number}"):
      data = self._stored.chunk(i, record.first_chunk + number)
      return record.chunk(number, data)

  def _fetch(self, i: int, record: Record, numbers: Sequence[int]) -> None:
    """Reads chunks of a video ahead, see `Stored.fetch`."""
    with self._errors_named(f"record {i}: chunk {numbers[0]}"):
      self._stored.fetch(i, [record.first_chunk + n for n in numbers])

  @contextlib.contextmanager
  def _errors_named(self, what: str) -> Iterator[None]:
    """Makes errors of reading a DataError that names what was read."""
    try:
      yield
    except ConfigError:  # Access to the bucket is denied.
      raise
    except (DataError, ValueError, RuntimeError, IndexError) as error:
      foreign = isinstance(error, ForeignRecordError)
      kind = ForeignRecordError if foreign else DataError
      raise kind(f"{self._directory}: {what}: {error}") from error

  def _check_belongs(self, record: Record) -> None:
    """Raises an error if a record is not as the index says all are."""
    index = self.index
    form = (record.codec, min(record.height, record.width))
    if form != (index.codec, index.short_side):
      raise ForeignRecordError(
        f"{record.id} is of another dataset: its frames are {form[0]} of "
        f"short side {form[1]}, not {index.codec} of {index.short_side}"
      )
    shown = {
      name: [label for _, label in segments]
      for name, segments in record.labels.items()
    }
    for names, classes in ((index.labels, shown), (index.tags, record.tags)):
      for name in names.keys() & classes.keys():
        if max(classes[name], default=-1) >= len(names[name]):
          raise ForeignRecordError(
            f"{record.id} has class {max(classes[name])} of {name!r}, which "
            f"has {len(names[name])} classes"
          )

  def __repr__(self) -> str:
    return f"Prepared({self._directory}, {self.index.fingerprint[:12]})"


class Sample(PreparedDataset):
  """Some videos, to measure how fast they are decoded; without checksums."""

  def __init__(self, index: Index, stored: Stored, name: str) -> None:
    """Makes a dataset.

    Args:
      index: What is said of the videos: the index of their dataset.
      stored: Their records and chunks.
      name: What messages call the dataset.
    """
    self.index, self._stored, self._directory = index, stored, name
    self.reads_ranges = False


def read_sample(directory: epath.PathLike, count: int) -> Sample:
  """Opens videos that lie evenly spaced in a prepared dataset.

  Only what clips need of these videos is read, and no checksum is made.

  Args:
    directory: Local directory that `prepare` wrote.
    count: Number of videos; a smaller dataset is read whole.

  Raises:
    DataError: If the index or a shard is missing or damaged.
  """
  index = Index.load(directory)
  index.check_shards(directory)
  stored = ShardFiles(directory, index.shards)
  numbers = np.linspace(0, len(stored) - 1, min(count, len(stored)))
  chosen = Chosen(stored, numbers.astype(int).tolist())
  return Sample(index, chosen, os.fspath(directory))
