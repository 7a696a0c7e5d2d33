"""The processes of a run, one on each host: joining, telling, parting.

Every process runs the same command. What is computed is one program over all
devices; each process reads its part of every batch, all save checkpoints, and
the first alone writes everything else.
"""

import dataclasses
import json
import logging
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import multihost

from hdc_jax.errors import ConfigError

_log = logging.getLogger(__name__)

# Leave it to JAX to find out who takes part (TPU, Slurm, Open MPI).
AUTO = "auto"
# How long they wait for each other at the end: the first writes reports, but
# one that failed must not let the others wait.
_END = "hdc_jax/end"
_DONE_SECONDS, _FAILED_SECONDS = 3600, 10


@dataclasses.dataclass(frozen=True)
class Cluster:
  """Which processes are to join.

  Attributes:
    coordinator: HOST:PORT of process 0; 'auto' for JAX to find out; or empty,
      which is 'auto' on a TPU and else means that this process is alone.
    processes: How many there are.
    process: The number of this one.
  """

  coordinator: str = ""
  processes: int | None = None
  process: int | None = None


def join(cluster: Cluster) -> None:
  """Joins the processes of a run; comes before anything that uses a device.

  Raises:
    ConfigError: If the cluster is not described, or not found.
  """
  given = cluster.processes is not None, cluster.process is not None
  explicit = cluster.coordinator not in ("", AUTO)
  if any(given) != explicit or not (all(given) or not any(given)):
    raise ConfigError(
      "--coordinator=HOST:PORT, --processes and --process belong together; "
      "--coordinator=auto is alone"
    )
  # Importing JAX on a TPU host sets this.
  on_tpu = "tpu" in (jax.config.jax_platforms or "")
  if not cluster.coordinator and not on_tpu:
    return
  try:
    jax.distributed.initialize(
      cluster.coordinator if explicit else None,
      cluster.processes,
      cluster.process,
    )
  except (ValueError, RuntimeError) as error:
    if not cluster.coordinator:
      _log.warning("on a TPU, but alone: %s", error)
      return
    raise ConfigError(
      f"--coordinator={cluster.coordinator}: cannot join: {error}"
    ) from error


def part(failed: bool) -> bool:
  """Waits for the other processes at the end of a run.

  Args:
    failed: Whether this process ends with an error; the others may not know of
      it, and be waiting for this one.

  Returns:
    Whether all of them have come to their end. If not, this one must exit
    without the usual clearing up, which would wait for them.
  """
  if not jax.distributed.is_initialized():
    return True
  seconds = _FAILED_SECONDS if failed else _DONE_SECONDS
  try:
    multihost.get_barrier_sync_fn()(key=_END, timeout_ms=1000 * seconds)
  except RuntimeError as error:
    _log.debug("others did not come to their end: %s", error)
    return False
  return True


def exchange(value: Any) -> list[Any]:
  """What every process has to tell, in their order.

  Args:
    value: This process's, which JSON can hold.
  """
  text = np.frombuffer(json.dumps(value).encode(), np.uint8)
  if jax.process_count() == 1:
    return [json.loads(text.tobytes())]
  sizes = multihost_utils.process_allgather(np.int32(len(text)))
  padded = np.zeros(max(sizes), np.uint8)
  padded[: len(text)] = text
  told = multihost_utils.process_allgather(padded)
  return [
    json.loads(one[:size].tobytes())
    for one, size in zip(told, sizes, strict=True)
  ]
