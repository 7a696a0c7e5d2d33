"""Batches of clips, whose order is a pure function of the step, by Grain.

The global batch `s` holds the videos at positions `s·B … s·B + B - 1` of an
endless reshuffled sequence, and a clip's randomness depends on the seed and its
position there. Neither depends on the number of hosts, worker processes or
restarts, so the state of the data is the number of steps taken.
"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast

import grain
import numpy as np
from absl import flags

from hdc_jax.data import sources
from hdc_jax.data.clips import cutting
from hdc_jax.data.options import Loading
from hdc_jax.errors import DataError

_log = logging.getLogger(__name__)

# Bytes of decoded batches that a host may hold ready.
_READ_AHEAD_BYTES = 2 << 30


def training_batches(
  cut: cutting.CutClips,
  loading: Loading,
  *,
  batch_size: int,
  seed: int,
  first_step: int = 0,
  process_index: int = 0,
  process_count: int = 1,
) -> Iterator[cutting.Batch]:
  """This process's part of every global batch, from `first_step` on, endless.

  Args:
    cut: Cuts the clips out of each video, see `cutting.make_cut`.
    loading: Threads and processes that decode.
    batch_size: Videos in a global batch.
    seed: Seed of the order of the videos and of the clips cut from them.
    first_step: Number of global batches that were used already.
    process_index: Which contiguous part of the batch to read.
    process_count: Number of parts.

  Returns:
    Batches as in `cutting.CutClips.random_map`, with a leading axis of
    `batch_size / process_count`.
  """
  dataset = (
    record_numbers(cut.numbers)
    .seed(seed)
    .shuffle()
    .repeat()
    .random_map(cut)
    # Consecutive local batches make up a global one, so that each process
    # takes a contiguous part and the global batch is the same for any number.
    .batch(batch_size // process_count)
  )
  first = first_step * process_count + process_index
  dataset = dataset[first::process_count]
  batch_bytes = cut.video_bytes * batch_size // process_count
  return iter(read_ahead(dataset, batch_bytes, loading))


class Feed:
  """Iterates over clips, timing the wait for them and watching their health."""

  def __init__(self, batches: Iterator[cutting.Batch], max_bad: float) -> None:
    """Wraps the batches of `training_batches`.

    Args:
      batches: Whose ids are logged at debug level.
      max_bad: The part of videos that may fail to decode.
    """
    self._batches = batches
    self._max_bad = max_bad
    self._bad = self._seen = 0
    self._waited = 0.0

  def __iter__(self) -> "Feed":
    return self

  def __next__(self) -> cutting.Batch:
    """The next batch, without what is not for the device.

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
    """Seconds waited for batches since this was last asked."""
    waited, self._waited = self._waited, 0.0
    return waited


def record_numbers(numbers: np.ndarray) -> grain.MapDataset:
  """A dataset of record numbers, int64 [N], to map to what is read."""
  # Grain needs only a length and items of it.
  return grain.MapDataset.source(cast(Sequence[int], numbers))


def read_ahead(
  dataset: grain.MapDataset, element_bytes: int, loading: Loading
) -> grain.IterDataset:
  """Reads a dataset by threads and, if wanted, worker processes.

  Decoding releases Python's lock, so threads are enough unless cutting clips
  keeps one interpreter busy. How much is read ahead is bounded in bytes.

  Args:
    dataset: What to read.
    element_bytes: Decoded size of one element.
    loading: Threads per process, at most, and additional processes; without
      those this process reads.
  """
  threads, workers = loading.threads, loading.workers
  ahead = _READ_AHEAD_BYTES // (element_bytes * max(1, workers))
  threads = int(np.clip(ahead, 1, min(threads, 4 * (os.cpu_count() or 1))))
  options = grain.ReadOptions(
    num_threads=threads, prefetch_buffer_size=int(np.clip(ahead, 1, threads))
  )
  iterated = dataset.to_iter_dataset(options)
  if workers:
    if not flags.FLAGS.is_parsed():  # Grain's workers ask for some
      flags.FLAGS.mark_as_parsed()
    iterated = iterated.mp_prefetch(
      grain.MultiprocessingOptions(num_workers=workers)
    )
  return iterated


def data_state(source: sources.Source, step: int) -> dict[str, Any]:
  """What a checkpoint remembers of the data: JSON, small, host-independent."""
  return {"step": step, "fingerprint": source.index.fingerprint}


def check_data_state(source: sources.Source, state: dict[str, Any]) -> None:
  """Checks that a run can go on with this dataset.

  Raises:
    DataError: If it was begun with another.
  """
  if state["fingerprint"] != source.index.fingerprint:
    raise DataError(
      "config.data.path holds another dataset than the run began with "
      f"(fingerprint {source.index.fingerprint}, was {state['fingerprint']}): "
      "use that one, or another --workdir"
    )
