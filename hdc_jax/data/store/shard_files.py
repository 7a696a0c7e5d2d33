"""Records and chunks in the files of a dataset, by the number of a video.

In a shard, the chunks of all videos come first, and then their records. So the
place of a record follows from the counts in the index, and a record says where
its chunks are.
"""

import bisect
import itertools
import os
from collections.abc import Sequence
from typing import Protocol

from array_record.python.array_record_data_source import ArrayRecordDataSource
from etils import epath

from hdc_jax.data.store.index import Shard


class Stored(Protocol):
  """Serialized records and chunks, wherever they are."""

  def __len__(self) -> int:
    """Returns the number of videos."""
    ...

  def record(self, i: int) -> bytes:
    """Reads the record of video `i`."""
    ...

  def num_chunks(self, i: int) -> int:
    """Returns the number of chunks in the shard of video `i`."""
    ...

  def chunk(self, i: int, number: int) -> bytes:
    """Reads one of the chunks in the shard of video `i`."""
    ...

  def fetch(self, i: int, numbers: Sequence[int]) -> None:
    """Reads chunks ahead, if they are far: several at a time, in order."""
    ...


class ShardFiles:
  """The shards of a dataset on a local disk, see `Stored`."""

  def __init__(
    self, directory: epath.PathLike, shards: Sequence[Shard]
  ) -> None:
    """Prepares to read; no shard is opened before it is needed.

    Args:
      directory: Directory of the shards, all of which exist.
      shards: The shards, in the order of record numbers.
    """
    # It has no need to open the files, as the ranges of each are given.
    self._entries = ArrayRecordDataSource(
      [
        os.path.join(os.fspath(directory), f"{shard.name}[0:{shard.records}]")
        for shard in shards
      ]
    )
    # Where each shard begins, and where the last one ends.
    self._videos, self._ends = (
      list(itertools.accumulate(counts, initial=0))
      for counts in (
        [shard.videos for shard in shards],
        [shard.records for shard in shards],
      )
    )

  def __len__(self) -> int:
    return self._videos[-1]

  def record(self, i: int) -> bytes:
    """Reads a record, see `Stored.record`."""
    after = bisect.bisect_right(self._videos, i)
    return self._entries[self._ends[after] - self._videos[after] + i]

  def num_chunks(self, i: int) -> int:
    """Counts the chunks of a shard, see `Stored.num_chunks`."""
    after = bisect.bisect_right(self._videos, i)
    records = self._ends[after] - self._ends[after - 1]
    return records - (self._videos[after] - self._videos[after - 1])

  def chunk(self, i: int, number: int) -> bytes:
    """Reads a chunk, see `Stored.chunk`."""
    after = bisect.bisect_right(self._videos, i)
    return self._entries[self._ends[after - 1] + number]

  def fetch(self, i: int, numbers: Sequence[int]) -> None:
    """Does nothing, as the chunks are near."""


class Chosen:
  """Some of the videos that are stored, see `Stored`."""

  def __init__(self, stored: Stored, numbers: Sequence[int]) -> None:
    """Chooses videos.

    Args:
      stored: All videos.
      numbers: Numbers of those that are chosen.
    """
    self._stored, self._numbers = stored, numbers

  def __len__(self) -> int:
    return len(self._numbers)

  def record(self, i: int) -> bytes:
    """Reads a record, see `Stored.record`."""
    return self._stored.record(self._numbers[i])

  def num_chunks(self, i: int) -> int:
    """Counts the chunks of a shard, see `Stored.num_chunks`."""
    return self._stored.num_chunks(self._numbers[i])

  def chunk(self, i: int, number: int) -> bytes:
    """Reads a chunk, see `Stored.chunk`."""
    return self._stored.chunk(self._numbers[i], number)

  def fetch(self, i: int, numbers: Sequence[int]) -> None:
    """Reads chunks ahead, see `Stored.fetch`."""
    self._stored.fetch(self._numbers[i], numbers)


class OneVideo:
  """A video in memory, see `Stored`."""

  def __init__(self, record: bytes, chunks: Sequence[bytes] = ()) -> None:
    """Holds a video.

    Args:
      record: Its record, serialized.
      chunks: Its chunks, serialized.
    """
    self._record, self._chunks = record, chunks

  def __len__(self) -> int:
    return 1

  def record(self, i: int) -> bytes:
    """Returns the record, see `Stored.record`."""
    del i  # There is only one.
    return self._record

  def num_chunks(self, i: int) -> int:
    """Counts the chunks, see `Stored.num_chunks`."""
    del i
    return len(self._chunks)

  def chunk(self, i: int, number: int) -> bytes:
    """Returns a chunk, see `Stored.chunk`."""
    del i
    return self._chunks[number]

  def fetch(self, i: int, numbers: Sequence[int]) -> None:
    """Does nothing, as the chunks are in memory."""
