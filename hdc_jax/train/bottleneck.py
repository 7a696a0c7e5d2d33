"""Says once that steps wait for videos, and what would mend that."""

import os
import time

from hdc_jax.data.clips import filling
from hdc_jax.data.options import Loading

# Share of the time that is spent waiting from which on it is said, and how long
# it is measured before, in seconds: the first batches always take a while.
SHARE, SECONDS = 0.1, 60.0
# Share of the cores from which on a host is busy.
_BUSY = 0.8


def cores() -> int:
  """The number of cores that this process may use."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def remedy(loading: Loading, codec: str, busy: float, count: int) -> str:
  """What would bring the videos sooner.

  Args:
    loading: Threads and processes that decode.
    codec: Codec of the dataset; 'original' for files as they came.
    busy: How many processes and threads run or wait for a core, on average.
    count: Number of cores of this host.
  """
  if codec == "original":
    return (
      "prepare the videos with `python -m hdc_jax.prepare`, from whose files "
      "they are read many times faster"
    )
  processes = max(1, loading.workers)
  if busy >= _BUSY * count:
    return (
      f"all {count} cores of this host are busy: give it more or spread the "
      "run over more hosts, or prepare the videos with a smaller --short_side"
    )
  if processes * loading.threads < count:
    return (
      f"raise config.data.threads={loading.threads}: there are {count} cores"
    )
  wanted = filling.processes_for(count)
  if processes < wanted:
    return (
      f"set config.data.workers={wanted}: the threads of one process do not "
      f"use {count} cores"
    )
  return (
    "cores are idle, so the disk or the network is slow: copy the dataset to "
    "a fast local disk, or raise config.data.threads="
    f"{loading.threads}, so that more is read at once"
  )


class Bottleneck:
  """Watches how long steps wait for videos."""

  def __init__(self, loading: Loading, codec: str) -> None:
    """Begins to watch.

    Args:
      loading: Threads and processes that decode.
      codec: Codec of the dataset.
    """
    self._loading, self._codec = loading, codec
    self._start: float | None = None
    self._said = False

  def judge(self, share: float) -> str:
    """Judges the time so far; a logged step is a time to do that.

    Args:
      share: Fraction of the time of all steps that was spent waiting for data.

    Returns:
      A warning, at the first time that steps have waited too long; else ''.
    """
    now = time.monotonic()
    if self._start is None:
      self._start = now
    if self._said or share < SHARE or now - self._start < SECONDS:
      return ""
    self._said = True
    busy = os.getloadavg()[0]
    return (
      f"steps wait for videos for {share:.0%} of the time: "
      f"{remedy(self._loading, self._codec, busy, cores())}"
    )
