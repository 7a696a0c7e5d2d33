"""Batches of clips, read with Grain in an order that only the step decides.

In training, the videos form an endless sequence, which is shuffled anew in each
epoch. Global batch `s` holds the B videos from position `s·B` on, and what is
random in a clip depends on the seed and on the position alone. Neither depends
on the number of hosts, worker processes or restarts. So the number of steps
taken is all that has to be saved of the data's state.

A batch holds no video twice, because a video would be its own negative. Choice:
an epoch of N videos has ⌊N/B⌋ batches, and leaves out the last N mod B videos
of its order, which are others in each epoch. A video that cannot be decoded is
replaced by the video B positions on in the order of the epoch, and that one in
turn by the next: no other video of the batch has the same replacement.

All this is true of each dataset of a mixture, with B for its share of a batch.
"""

import dataclasses
import itertools
import logging
import os
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple, cast

import grain
import numpy as np
from absl import flags

from hdc_jax.data import mixtures, sources
from hdc_jax.data.clips import training_clips
from hdc_jax.data.clips.failure_rate import FailureRate
from hdc_jax.data.options import Loading
from hdc_jax.data.store.index import Index
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.runtime import ahead
from hdc_jax.runtime import workers as workers_lib

_log = logging.getLogger(__name__)

# Bytes of decoded videos that a host may hold ready. Where a batch is read in
# parts, there are besides the one that is joined, the next, and that of a step.
_READ_AHEAD_BYTES = 2 << 30

# Number of videos to try for one element of a batch before giving up.
_ATTEMPTS = 8


def check_batch_size(batch_size: int, videos: int, split: str) -> None:
  """Checks that a batch can be filled without repeating a video.

  Args:
    batch_size: Videos in a global batch.
    videos: Number of videos to learn from.
    split: What has these videos, for the message.

  Raises:
    ConfigError: If a batch is larger; the message names the largest.
  """
  if batch_size > videos:
    raise ConfigError(
      f"config.data.batch_size={batch_size} is too large for the {videos:,} "
      f"video{'s' * (videos != 1)} of {split}, as a batch holds no video "
      f"twice: use at most {videos}"
    )


def check_batches(batch_size: int, index: Index, split: str) -> None:
  """Checks that batches can be filled from a split without repeating a video.

  Args:
    batch_size: Videos in a global batch.
    index: The index of the dataset, or of a mixture.
    split: Name of the split.

  Raises:
    ConfigError: If a batch is larger, or if a dataset has fewer videos than
      its share of a batch.
  """
  _sizes(batch_size, mixtures.pools(index, index.split(split)), split)


def _sizes(
  batch_size: int, pools: Sequence[mixtures.Pool], split: str = ""
) -> list[int]:
  """How many videos of a batch are of each pool, which has so many.

  Raises:
    ConfigError: See `check_batches`.
  """
  if len(pools) == 1:
    what = f"split {split!r}" if split else "the dataset"
    check_batch_size(batch_size, len(pools[0].records), what)
  sizes = mixtures.shares(batch_size, [pool.weight for pool in pools])
  for pool, size in zip(pools, sizes, strict=True):
    if size > len(pool.records):
      which = f"whose split {split!r}" if split else "which"
      raise ConfigError(
        f"config.data.batch_size={batch_size} is too large: {size} videos of "
        f"each batch would be of {pool.name}, {which} has "
        f"{len(pool.records):,}, and a batch holds no video twice: lower it, "
        "or the weight of this dataset"
      )
  return sizes


class _Share(NamedTuple):
  """The part of every batch that is of one dataset.

  Attributes:
    first: Place in the batch of its first video.
    size: Videos in the part.
    order: Its record numbers in the order of its epochs, each of all N videos.
  """

  first: int
  size: int
  order: grain.MapDataset


@dataclasses.dataclass(frozen=True)
class _Candidates(grain.transforms.MapWithIndex):
  """Finds the video at a position, and those that may take its place.

  Attributes:
    batch_size: Videos in a global batch.
    shares: The parts of a global batch, in order.
  """

  batch_size: int
  shares: Sequence[_Share]

  # Grain does not annotate what is overridden here.
  # pyrefly: ignore[bad-override]
  def map_with_index(self, index: int, element: Any) -> Iterator[Any]:
    """Finds the candidates of one element of a batch.

    Args:
      index: Position in the endless sequence of videos.
      element: Not used.

    Returns:
      1 to 8 record numbers: that of the video, and those of its replacements in
      turn, which are found only if they are asked for. No two elements of a
      batch have a candidate in common.
    """
    del element
    batch, place = divmod(index, self.batch_size)
    first, size, order = next(s for s in self.shares[::-1] if s.first <= place)
    videos = len(order)
    epoch, batch = divmod(batch, videos // size)
    # Offsets from the first video of the part: those of different elements
    # differ by less than a turn, so that they are different videos.
    offsets = range(place - first, videos, size)[:_ATTEMPTS]
    slots = [(batch * size + offset) % videos for offset in offsets]
    return (order[epoch * videos + slot] for slot in slots)


class _Local(grain.MapDataset):
  """The videos of one process: a contiguous part of each global batch.

  They keep their positions in the endless sequence, on which depends what is
  random in their clips.
  """

  def __init__(
    self, videos: grain.MapDataset, batch_size: int, size: int, first: int
  ) -> None:
    """Selects the videos.

    Args:
      videos: The videos of all processes, by position.
      batch_size: Videos in a global batch.
      size: Videos of this process in a global batch.
      first: Position of the first of them.
    """
    super().__init__(videos)
    self._batch_size, self._size, self._first = batch_size, size, first

  def __len__(self) -> int:
    videos = len(self._parent) - self._first
    return videos // self._batch_size * self._size

  # Grain does not annotate what is overridden here.
  # pyrefly: ignore[bad-override]
  def __getitem__(self, index: int | slice) -> Any:
    if isinstance(index, slice):
      return self.slice(index)
    batch, place = divmod(index, self._size)
    return self._parent[self._first + batch * self._batch_size + place]


def training_batches(
  cut: training_clips.CutClips,
  loading: Loading,
  *,
  batch_size: int,
  seed: int,
  first_step: int = 0,
  process_index: int = 0,
  process_count: int = 1,
) -> Generator[training_clips.Batch, None, None]:
  """Reads the local part of every global batch, without end.

  Args:
    cut: Cuts the clips out of each video, see `cutting.make_cut`.
    loading: Threads and processes that decode.
    batch_size: Videos in a global batch.
    seed: Seed of the order of the videos and of the clips cut from them.
    first_step: Number of global batches to skip: the steps already taken.
    process_index: Number of this process, which reads one contiguous part of
      each global batch.
    process_count: Number of processes.

  Returns:
    Batches as in `cutting.CutClips.random_map`, with a leading axis of
    `batch_size / process_count`.

  Raises:
    ConfigError: If a batch has more videos than there are.
  """
  pools = mixtures.pools(cut.source.index, cut.records)
  sizes = _sizes(batch_size, pools)
  firsts = itertools.accumulate(sizes[:-1], initial=0)
  orders = [
    record_numbers(pool.records).seed(seed + number).shuffle()
    for number, pool in enumerate(pools)
  ]
  shares = list(map(_Share, firsts, sizes, orders))
  dataset = (
    grain.MapDataset.range(len(cut.records) // batch_size * batch_size)
    .seed(seed)
    .repeat()
    .map_with_index(_Candidates(batch_size, shares))
    .random_map(cut)
  )
  size = batch_size // process_count
  first = first_step * batch_size + process_index * size
  local = _Local(dataset, batch_size, size, first)
  part = _part_of(size, cut.video_bytes, loading)
  return read_ahead(
    # Nothing is dropped from an endless sequence, but else Grain rounds its
    # length up, to more than an index may be.
    local.batch(part, drop_remainder=True),
    part * cut.video_bytes,
    loading,
    joined=size // part,
  )


def _part_of(size: int, video_bytes: int, loading: Loading) -> int:
  """The largest part of a batch of which every thread may read one ahead.

  The larger the parts, the less time goes into handing them over.

  Args:
    size: Number of videos in a batch.
    video_bytes: Size of the decoded clips of a video, in bytes.
    loading: Threads and processes that decode.

  Returns:
    A number of videos that divides the batch; 1 if no part is so small.
  """
  threads = max(1, loading.workers) * loading.threads
  most = min(max(_READ_AHEAD_BYTES // (video_bytes * threads), 1), size)
  return max(n for n in range(1, most + 1) if size % n == 0)


class Feed:
  """Iterates over batches, timing the wait and counting undecodable videos.

  Attributes:
    ids: Ids of the videos of the last batch, in order.
  """

  def __init__(
    self, batches: Iterator[training_clips.Batch], max_bad: float
  ) -> None:
    """Wraps the batches of `training_batches`.

    Args:
      batches: Batches of clips; their ids are logged at debug level.
      max_bad: Fraction of the videos that may fail to decode, see
        `FailureRate`.
    """
    self._batches = batches
    self._rate = FailureRate(max_bad, "config.data.max_bad")
    self._waited = 0.0
    self.ids: list[str] = []

  def __iter__(self) -> "Feed":
    return self

  def __next__(self) -> training_clips.Batch:
    """The next batch, without the arrays that devices do not need.

    Raises:
      DataError: If too many videos could not be decoded so far, see
        `FailureRate`.
    """
    start = time.perf_counter()
    batch = next(self._batches)
    self._waited += time.perf_counter() - start
    self.ids = batch["id"].tolist()
    _log.debug("batch of %s", ", ".join(self.ids))
    bad = int(batch["bad"].sum())
    self._rate.add(bad, len(batch["bad"]) + bad)
    return {k: v for k, v in batch.items() if k not in ("id", "bad")}

  def take_wait(self) -> float:
    """Returns the seconds waited for batches since the last call."""
    waited, self._waited = self._waited, 0.0
    return waited


def record_numbers(records: np.ndarray) -> grain.MapDataset:
  """A dataset of record numbers, to be mapped to clips or labels.

  Args:
    records: Record numbers, int64 [N].
  """
  # Grain needs only an object with a length and items.
  return grain.MapDataset.source(cast(Sequence[int], records))


def read_ahead(
  dataset: grain.MapDataset,
  element_bytes: int,
  loading: Loading,
  *,
  joined: int = 1,
) -> Generator[Any, None, None]:
  """Reads a dataset ahead with threads and, optionally, worker processes.

  Decoding releases Python's lock, so threads are enough, unless the rest of the
  work keeps one interpreter busy. How much is read ahead is bounded in bytes.

  Args:
    dataset: The dataset to read.
    element_bytes: Size of one decoded element, in bytes.
    loading: Largest number of threads per process, and number of worker
      processes; without workers, the threads run in this process.
    joined: Number of elements that are joined to one. They are dictionaries of
      arrays then, which are joined along their first axis.

  Yields:
    The elements, in order.

  Raises:
    Lost: If a worker process was killed.
    DataError: If one has ended in another way, without an error.
  """
  threads, workers = loading.threads, loading.workers
  fitting = _READ_AHEAD_BYTES // (element_bytes * max(1, workers))
  threads = int(np.clip(fitting, 1, min(threads, 4 * (os.cpu_count() or 1))))
  options = grain.ReadOptions(
    num_threads=threads, prefetch_buffer_size=int(np.clip(fitting, 1, threads))
  )
  iterated = dataset.to_iter_dataset(options)
  if workers:
    workers_lib.start_quiet_tracker()
    if not flags.FLAGS.is_parsed():  # Grain's workers read absl flags
      flags.FLAGS.mark_as_parsed()
    iterated = iterated.mp_prefetch(
      grain.MultiprocessingOptions(num_workers=workers),
      workers_lib.follow_parent,
    )
  if joined > 1:
    iterated = iterated.batch(joined, batch_fn=_join)
  iterator = iter(iterated)
  if workers or joined > 1:
    # A thread of its own joins the next batch while a step uses this one.
    yield from ahead.read(iterator, workers)
    return
  try:
    yield from iterator
  finally:
    iterator.close()


def _join(parts: Sequence[training_clips.Batch]) -> training_clips.Batch:
  """Joins the parts of a batch."""
  return {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}


def data_state(source: sources.Source, step: int) -> dict[str, Any]:
  """The state of the data in a checkpoint: a small object for JSON.

  Args:
    source: The videos.
    step: Number of steps taken.
  """
  return {"step": step, "fingerprint": source.index.fingerprint}


def check_data_state(source: sources.Source, state: dict[str, Any]) -> None:
  """Checks that a run can be resumed with this dataset.

  Args:
    source: The videos.
    state: The result of `data_state` in the checkpoint.

  Raises:
    DataError: If the run began with another dataset.
  """
  if state["fingerprint"] != source.index.fingerprint:
    raise DataError(
      "config.data.path holds another dataset than the run began with "
      f"(fingerprint {source.index.fingerprint}, was {state['fingerprint']}): "
      "use that dataset, or another --workdir"
    )
