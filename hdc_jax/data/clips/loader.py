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
"""

import dataclasses
import itertools
import logging
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import grain
import numpy as np
from absl import flags

from hdc_jax.data import sources
from hdc_jax.data.clips import training_clips
from hdc_jax.data.options import Loading
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.runtime import workers as workers_lib

_log = logging.getLogger(__name__)

# Bytes of decoded batches that a host may hold ready.
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


@dataclasses.dataclass(frozen=True)
class _Candidates(grain.transforms.MapWithIndex):
  """Finds the video at a position, and those that may take its place.

  Attributes:
    order: Record numbers in the order of the epochs, each of all N videos.
    batch_size: Videos in a global batch.
  """

  order: grain.MapDataset
  batch_size: int

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
    videos, size = len(self.order), self.batch_size
    batch, place = divmod(index, size)
    epoch, batch = divmod(batch, videos // size)
    # Offsets from the first video of the batch: those of different elements
    # differ by less than a turn, so that they are different videos.
    offsets = range(place, videos, size)[:_ATTEMPTS]
    slots = [(batch * size + offset) % videos for offset in offsets]
    return (self.order[epoch * videos + slot] for slot in slots)


def training_batches(
  cut: training_clips.CutClips,
  loading: Loading,
  *,
  batch_size: int,
  seed: int,
  first_step: int = 0,
  process_index: int = 0,
  process_count: int = 1,
) -> Iterator[training_clips.Batch]:
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
  videos = len(cut.records)
  check_batch_size(batch_size, videos, "the dataset")
  order = record_numbers(cut.records).seed(seed).shuffle()
  dataset = (
    grain.MapDataset.range(videos // batch_size * batch_size)
    .seed(seed)
    .repeat()
    .map_with_index(_Candidates(order, batch_size))
    .random_map(cut)
    # Consecutive local batches make up a global one, so that each process takes
    # a contiguous part, and the global batch is the same for any number of
    # processes. Nothing is dropped from an endless sequence, but else Grain
    # rounds its length up, to more than an index may be.
    .batch(batch_size // process_count, drop_remainder=True)
  )
  first = first_step * process_count + process_index
  dataset = dataset[first::process_count]
  batch_bytes = cut.video_bytes * batch_size // process_count
  return read_ahead(dataset, batch_bytes, loading)


class Feed:
  """Iterates over batches, timing the wait and counting undecodable videos."""

  def __init__(
    self, batches: Iterator[training_clips.Batch], max_bad: float
  ) -> None:
    """Wraps the batches of `training_batches`.

    Args:
      batches: Batches of clips; their ids are logged at debug level.
      max_bad: Fraction of the videos that may fail to decode.
    """
    self._batches = batches
    self._max_bad = max_bad
    self._bad = self._seen = 0
    self._waited = 0.0

  def __iter__(self) -> "Feed":
    return self

  def __next__(self) -> training_clips.Batch:
    """The next batch, without the arrays that devices do not need.

    Raises:
      DataError: If too many videos could not be decoded so far.
    """
    start = time.perf_counter()
    batch = next(self._batches)
    self._waited += time.perf_counter() - start
    _log.debug("batch of %s", ", ".join(batch["id"].tolist()))
    self._seen += len(batch["bad"])
    self._bad += int(batch["bad"].sum())
    if self._bad > max(1, self._max_bad * self._seen):
      raise DataError(
        f"{self._bad} of {self._seen} videos could not be decoded, more than "
        f"config.data.max_bad={self._max_bad:g}: see the warnings above"
      )
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
  dataset: grain.MapDataset, element_bytes: int, loading: Loading
) -> Iterator[Any]:
  """Reads a dataset ahead with threads and, optionally, worker processes.

  Decoding releases Python's lock, so threads are enough, unless the rest of the
  work keeps one interpreter busy. How much is read ahead is bounded in bytes.

  Args:
    dataset: The dataset to read.
    element_bytes: Size of one decoded element, in bytes.
    loading: Largest number of threads per process, and number of worker
      processes; without workers, the threads run in this process.

  Yields:
    The elements, in order.
  """
  threads, workers = loading.threads, loading.workers
  ahead = _READ_AHEAD_BYTES // (element_bytes * max(1, workers))
  threads = int(np.clip(ahead, 1, min(threads, 4 * (os.cpu_count() or 1))))
  options = grain.ReadOptions(
    num_threads=threads, prefetch_buffer_size=int(np.clip(ahead, 1, threads))
  )
  iterated = dataset.to_iter_dataset(options)
  if workers:
    workers_lib.start_quiet_tracker()
    if not flags.FLAGS.is_parsed():  # Grain's workers read absl flags
      flags.FLAGS.mark_as_parsed()
    iterated = iterated.mp_prefetch(
      grain.MultiprocessingOptions(num_workers=workers), _start_worker
    )
  iterator = iter(iterated)
  try:
    # Workers are started here. Ctrl-C and SIGTERM may reach them as well; it is
    # for their parent to end them.
    with workers_lib.signals_blocked():
      first = list(itertools.islice(iterator, 1))
    yield from first
    yield from iterator
  finally:
    iterator.close()


def _start_worker(number: int, count: int) -> None:
  """Prepares a worker process not to outlive its parent."""
  del number, count
  workers_lib.exit_with_parent()


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
