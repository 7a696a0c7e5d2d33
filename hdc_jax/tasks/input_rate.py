"""How fast this machine's loader gives the clips that a pretraining needs."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from hdc_jax.data import feeding
from hdc_jax.data.clips import filling
from hdc_jax.distributed import processes
from hdc_jax.tasks.pretrain import Pretrain

# CPU time for which the loader is measured, in seconds.
_SECONDS = 1.0


def describe(runs: Sequence[Any], hosts: Sequence[str]) -> Iterator[str]:
  """Measures the loader on the records of the pretrainings' datasets.

  Each process measures at the same time, as they will decode; the slowest
  counts. Datasets in buckets are not copied for it: a generated video stands
  for them.

  Args:
    runs: Options of the runs, of any task.
    hosts: Names of the hosts of all processes.

  Yields:
    A line for each way of cutting clips: their rate, and how long the cores of
    a process decode for a step.

  Raises:
    DataError: If videos of a dataset cannot be decoded.
  """
  seen = set()
  for options in runs:
    if not isinstance(options, Pretrain):
      continue
    starts = options.method.make(options.augment, options.model.size).starts
    needed = options.batches.batch_size * starts.clips / len(hosts)
    key = options.dataset.path, options.clips, starts.clips, needed
    if key in seen:
      continue
    seen.add(key)
    with processes.shared_errors(hosts):
      videos, what = feeding.videos_of(options.dataset.path, options.short_side)
      rate = feeding.clips_per_second(videos, options.clips, starts, _SECONDS)
    # Processes of one host share its cores.
    shared = hosts.count(hosts[jax.process_index()])
    cores = max(1, (os.cpu_count() or 1) // shared)
    found = processes.exchange([rate, cores])
    slowest = min(range(len(found)), key=lambda i: found[i][0] * found[i][1])
    rate, cores = found[slowest]
    text = (
      f"{rate:,.0f} clips/s a core, measured with {what}; a step takes "
      f"{needed:,.0f} clips a process, {needed / rate / cores:.2g} s of the "
      f"{cores} cores of {hosts[slowest]}"
    )
    wanted = filling.processes_for(cores)
    if wanted > max(1, options.loading.workers):
      text += f" in {wanted} processes: set data.workers={wanted}"
    yield text
