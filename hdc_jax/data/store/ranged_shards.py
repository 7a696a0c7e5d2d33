"""Records and chunks out of shards in a bucket, without a copy of them.

A shard is opened by one request, for its end, which says where its records
begin. From then on, a record takes a request, and chunks that follow each other
take one together. What was read last is kept in memory, up to `CACHE_BYTES`.
"""

import bisect
import collections
import itertools
import os
import threading
from collections.abc import Sequence

import numpy as np
from etils import epath

from hdc_jax.data.store import array_files
from hdc_jax.data.store.index import Shard
from hdc_jax.data.store.shard_files import Stored
from hdc_jax.errors import DataError
from hdc_jax.runtime import ranges

# Bytes of records and chunks that a process keeps: those that are read ahead
# before they are decoded, which are a quarter of the decoded clips.
CACHE_BYTES = 512 << 20
_LOCKS = 64  # Shards that may be opened at a time.


class RangedShards:
  """The shards of a dataset in a bucket, see `Stored`.

  In memory are also the places of the records and chunks of all shards that
  were opened: 4 bytes for each, or 8 in a shard of 4 GiB or more.
  """

  def __init__(
    self, directory: epath.PathLike, shards: Sequence[Shard]
  ) -> None:
    """Prepares to read; no shard is opened before it is needed.

    Args:
      directory: Directory of the shards, all of which exist.
      shards: The shards, in the order of record numbers.
    """
    self._directory, self._shards = os.fspath(directory), shards
    self._videos = list(
      itertools.accumulate((shard.videos for shard in shards), initial=0)
    )
    self._offsets: dict[int, np.ndarray] = {}
    self._opening = [threading.Lock() for _ in range(_LOCKS)]
    self._cache = _Cache(CACHE_BYTES)
    self._given_up = threading.Event()

  def __reduce__(self) -> tuple[type, tuple[str, Sequence[Shard]]]:
    """Other processes open the shards that they need."""
    return type(self), (self._directory, self._shards)

  def __len__(self) -> int:
    return self._videos[-1]

  def record(self, i: int) -> bytes:
    """Reads a record, see `Stored.record`."""
    number = self._shard_of(i)
    return self._entry(number, self.num_chunks(i) + i - self._videos[number])

  def num_chunks(self, i: int) -> int:
    """Counts the chunks of a shard, see `Stored.num_chunks`."""
    shard = self._shards[self._shard_of(i)]
    return shard.records - shard.videos

  def chunk(self, i: int, number: int) -> bytes:
    """Reads a chunk, see `Stored.chunk`."""
    return self._entry(self._shard_of(i), number)

  def fetch(self, i: int, numbers: Sequence[int]) -> None:
    """Reads chunks ahead, see `Stored.fetch`."""
    shard = self._shard_of(i)
    new = [n for n in numbers if self._cache.get((shard, n)) is None]
    if new:
      self._read(shard, new[0], new[-1] + 1)

  def _shard_of(self, i: int) -> int:
    """The number of the shard of a video."""
    return bisect.bisect_right(self._videos, i) - 1

  def _entry(self, shard: int, number: int) -> bytes:
    """Reads a record or a chunk by its number in the shard."""
    known = self._cache.get((shard, number))
    return self._read(shard, number, number + 1) if known is None else known

  def _read(self, shard: int, first: int, stop: int) -> bytes:
    """Reads records or chunks that follow each other; returns the first."""
    offsets = self._open(shard)
    if not 0 <= first < stop < len(offsets):
      raise DataError(f"{self._path(shard)} has no record {stop - 1}")
    places = offsets[first : stop + 1].astype(np.int64).tolist()
    data = self._range(shard, places[0], places[-1])
    entries = [
      array_files.read_record(data[a - places[0] : b - places[0]], a)
      for a, b in itertools.pairwise(places)
    ]
    for number, entry in enumerate(entries, first):
      self._cache.put((shard, number), entry)
    return entries[0]

  def _open(self, shard: int) -> np.ndarray:
    """Where the records of a shard begin, and where the last one ends."""
    with self._opening[shard % _LOCKS]:
      if shard not in self._offsets:
        size, records = self._shards[shard].bytes, self._shards[shard].records
        begin = size - array_files.tail_bytes(size, records)
        tail = self._range(shard, begin, size)
        try:
          offsets = array_files.read_offsets(tail, size, records)
        except DataError as error:
          raise DataError(f"{self._path(shard)}: {error}") from error
        kind = np.uint32 if size < 1 << 32 else np.int64
        self._offsets[shard] = offsets.astype(kind)
      return self._offsets[shard]

  def _range(self, shard: int, start: int, stop: int) -> bytes:
    """Reads a range of a shard."""
    path = self._path(shard)
    try:
      return ranges.read(path, start, stop, self._given_up)
    except FileNotFoundError as error:
      raise DataError(f"{path}: this shard is missing") from error

  def _path(self, shard: int) -> str:
    return os.path.join(self._directory, self._shards[shard].name)


class PartlyCopied:
  """Shards of which some are on a local disk, see `Stored`."""

  def __init__(
    self,
    local: Stored,
    remote: Stored,
    shards: Sequence[Shard],
    copied: Sequence[bool],
  ) -> None:
    """Joins what is here and what is not.

    Args:
      local: The shards, some of which are not there.
      remote: The same shards in their bucket.
      shards: The shards, in the order of record numbers.
      copied: For each shard, whether it is on the local disk.
    """
    self._stored = remote, local
    self._ends = np.cumsum([shard.videos for shard in shards]).tolist()
    self._copied = copied

  def _of(self, i: int) -> Stored:
    """Where the shard of a video is."""
    return self._stored[self._copied[bisect.bisect_right(self._ends, i)]]

  def __len__(self) -> int:
    return self._ends[-1]

  def record(self, i: int) -> bytes:
    """Reads a record, see `Stored.record`."""
    return self._of(i).record(i)

  def num_chunks(self, i: int) -> int:
    """Counts the chunks of a shard, see `Stored.num_chunks`."""
    return self._of(i).num_chunks(i)

  def chunk(self, i: int, number: int) -> bytes:
    """Reads a chunk, see `Stored.chunk`."""
    return self._of(i).chunk(i, number)

  def fetch(self, i: int, numbers: Sequence[int]) -> None:
    """Reads chunks ahead, see `Stored.fetch`."""
    self._of(i).fetch(i, numbers)


class _Cache:
  """Values of several threads, of which those used last are kept."""

  def __init__(self, most_bytes: int) -> None:
    self._most, self._bytes = most_bytes, 0
    self._values: collections.OrderedDict[tuple[int, int], bytes] = (
      collections.OrderedDict()
    )
    self._lock = threading.Lock()

  def get(self, key: tuple[int, int]) -> bytes | None:
    """Returns a value; None if it is not kept."""
    with self._lock:
      if key not in self._values:
        return None
      self._values.move_to_end(key)
      return self._values[key]

  def put(self, key: tuple[int, int], value: bytes) -> None:
    """Keeps a value, and forgets others that were not used for long."""
    with self._lock:
      self._bytes += len(value) - len(self._values.pop(key, b""))
      self._values[key] = value
      while self._bytes > self._most and len(self._values) > 1:
        self._bytes -= len(self._values.popitem(last=False)[1])
