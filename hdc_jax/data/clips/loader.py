"""Batches of clips for a training, from any step on.

`order` says which videos a batch holds, `training_clips` what is cut out of
them, and `filling` how that is read ahead.
"""

import logging
import time
from collections.abc import Generator, Iterator
from typing import Any

from hdc_jax.data import sources
from hdc_jax.data.clips import filling, order, training_clips
from hdc_jax.data.clips.failure_rate import FailureRate
from hdc_jax.data.options import Loading
from hdc_jax.errors import DataError

_log = logging.getLogger(__name__)


def training_batches(
  cut: training_clips.CutClips,
  loading: Loading,
  *,
  batch_size: int,
  seed: int,
  first_step: int = 0,
  process_index: int = 0,
  process_count: int = 1,
  lanes: int = 1,
) -> Generator[training_clips.Batch, None, None]:
  """Reads the local part of every global batch, without end.

  Args:
    cut: Cuts the clips out of each video, see `training_clips.make_cut`.
    loading: Threads and processes that decode.
    batch_size: Videos in a global batch.
    seed: Seed of the order of the videos and of the clips cut from them.
    first_step: Number of global batches to skip: the steps already taken.
    process_index: Number of this process, which reads one contiguous part of
      each global batch.
    process_count: Number of processes.
    lanes: Number of lanes, see `data.lanes`.

  Returns:
    Batches as in `CutClips.random_map`, with a leading axis of
    `batch_size / process_count`.

  Raises:
    ConfigError: If a batch has more videos than there are.
  """
  elements = order.training_elements(
    cut,
    batch_size=batch_size,
    seed=seed,
    first_step=first_step,
    process_index=process_index,
    process_count=process_count,
    lanes=lanes,
  )
  ahead = None
  if sources.reads_ranges(cut.source):
    ahead = elements(training_clips.FetchClips(cut))
  return filling.fill_batches(
    elements(cut), batch_size // process_count, cut.shapes, loading, ahead
  )


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
