"""The processes of a run, one on each host: how they join, talk and leave.

Every process runs the same command. The computation is one program over all
devices. Each process reads its part of every batch, and only the first writes
files.
"""

import contextlib
import dataclasses
import itertools
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils
from orbax.checkpoint import multihost

from hdc_jax import errors
from hdc_jax.distributed import failures
from hdc_jax.errors import ConfigError, HdcError, Preempted
from hdc_jax.runtime import locks, watchdog

_log = logging.getLogger(__name__)

# The coordinator's address that lets JAX find the processes (on a TPU, under
# Slurm or Open MPI).
AUTO = "auto"
# Name of the barrier at which the processes wait for each other at the end. The
# first process may still have reports to write. A process that failed waits for
# a short time, as the others may never come.
_END_BARRIER = "hdc_jax/end"
# Numbers the moments at which processes agree whether to stop.
_moments = itertools.count(1)


@dataclasses.dataclass(frozen=True)
class Cluster:
  """The processes that are to join in a run.

  Attributes:
    coordinator: Address HOST:PORT of process 0. 'auto' lets JAX find it. Empty
      means 'auto' on a TPU; elsewhere, that this process is the only one.
    processes: Number of processes; None unless an address is given.
    process: Number of this process, from 0; None unless an address is given.
  """

  coordinator: str = ""
  processes: int | None = None
  process: int | None = None


def join(cluster: Cluster) -> None:
  """Joins the processes of a run. Call it before anything uses a device.

  Args:
    cluster: The processes to join with.

  Raises:
    ConfigError: If the description is incomplete, or joining fails.
  """
  numbers_given = cluster.processes is not None, cluster.process is not None
  address_given = cluster.coordinator not in ("", AUTO)
  if any(numbers_given) != address_given or not (
    all(numbers_given) or not any(numbers_given)
  ):
    raise ConfigError(
      "--coordinator=HOST:PORT, --processes and --process belong together; "
      "--coordinator=auto takes neither of the other two"
    )
  # On the host of a TPU, importing JAX sets this option.
  on_tpu = "tpu" in (getattr(jax.config, "jax_platforms", None) or "")
  if not cluster.coordinator and not on_tpu:
    return
  try:
    jax.distributed.initialize(
      cluster.coordinator if address_given else None,
      cluster.processes,
      cluster.process,
      heartbeat_timeout_seconds=failures.HEARTBEAT_SECONDS,
    )
  except (ValueError, RuntimeError) as error:
    if not cluster.coordinator:
      _log.warning(
        "there is a TPU but no other process to join, so this run has one: %s",
        error,
      )
      return
    raise ConfigError(
      f"--coordinator={cluster.coordinator}: cannot join: {error}"
    ) from error
  if jax.distributed.is_initialized():
    failures.watch()


def leave(code: int, line: str) -> bool:
  """Waits for the other processes at the end of a run.

  A process that ends with an error tells the others, which end with the same
  code soon, and waits for a short time only. If the run was stopped, all know.

  Args:
    code: Exit code of this process.
    line: What has ended it, in a line.

  Returns:
    Whether all processes have come to their end. If not, this process must exit
    with `os._exit`: a normal exit would wait for the others.
  """
  if not jax.distributed.is_initialized():
    return True
  failures.stop_watching()
  if code not in (0, Preempted.exit_code):
    failures.announce(code, line)
  seconds = failures.failed_seconds() if code else watchdog.END_SECONDS
  try:
    multihost.get_barrier_sync_fn()(
      key=_END_BARRIER, timeout_ms=int(1000 * seconds)
    )
  except RuntimeError as error:
    _log.debug("other processes have not come to their end: %s", error)
    return False
  return True


@contextlib.contextmanager
def locked(directory: epath.PathLike, flag: str) -> Iterator[None]:
  """Locks a directory for this run, of which the first process has the lock.

  Args:
    directory: Directory to lock, see `locks.locked`.
    flag: Flag that names the directory, for the message.

  Raises:
    ConfigError: In all processes, if another run has the lock; names it.
  """
  with contextlib.ExitStack() as stack:
    refusal = ""
    try:
      if jax.process_index() == 0:
        stack.enter_context(locks.locked(directory, flag))
    except ConfigError as error:
      refusal = str(error)
    (refusal, *_) = exchange(refusal)
    if refusal:
      raise ConfigError(refusal)
    yield


def stop_requested() -> bool:
  """Says whether one of several processes was asked to stop, by SIGTERM.

  JAX handles SIGTERM in the processes of a cluster, and notes it. All processes
  have to call this equally often, such as at every step, and then all get the
  same answer.

  Returns:
    True at one call after a SIGTERM. False in a run of one process, which
    handles the signal itself.
  """
  return (
    jax.process_count() > 1
    and multihost_utils.reached_preemption_sync_point(next(_moments))
  )


def exchange(value: Any) -> list[Any]:
  """Gathers a value from every process; each process has to call it.

  Args:
    value: This process's value, which JSON can hold.

  Returns:
    The values of all processes, in the order of their numbers.

  Example:
    >>> exchange({"host": "a"})  # in a run of one process
    [{'host': 'a'}]
  """
  text = np.frombuffer(json.dumps(value).encode(), np.uint8)
  if jax.process_count() == 1:
    return [json.loads(text.tobytes())]
  sizes = multihost_utils.process_allgather(np.int32(len(text)))
  padded = np.zeros(max(sizes), np.uint8)
  padded[: len(text)] = text
  texts = multihost_utils.process_allgather(padded)
  return [
    json.loads(text[:size].tobytes())
    for text, size in zip(texts, sizes, strict=True)
  ]


def decide(function: Callable[[], Any]) -> Any:
  """Calls a function in the first process; each process has to call this.

  Args:
    function: Gives a value that JSON can hold.

  Returns:
    Its value, in every process.

  Raises:
    HdcError: What the function raised, in every process.
  """
  value = None
  with shared_errors():
    if jax.process_index() == 0:
      value = function()
  return exchange(value)[0]


@contextlib.contextmanager
def shared_errors(hosts: Sequence[str] = ()) -> Iterator[None]:
  """Raises the error of the first process that has one, in all processes.

  A context manager, which each process has to enter.

  Args:
    hosts: Names of the hosts of all processes; if there are several, the error
      says in which process it was raised.

  Raises:
    HdcError: If the `with` block raised one in any process.
  """
  local: HdcError | None = None
  try:
    yield
  except HdcError as error:
    local = error
  report = [type(local).__name__, str(local)] if local else None
  for number, failure in enumerate(exchange(report)):
    if failure:
      kind, text = failure
      where = f"process {number} ({hosts[number]}): " if len(hosts) > 1 else ""
      raise getattr(errors, kind)(where + text) from local
