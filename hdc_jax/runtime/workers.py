"""A pool of processes that survives the death of one of them."""

import collections
import contextlib
import fcntl
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")
# The arguments of each call that was submitted, with its future result.
_Pending = collections.deque[tuple[tuple[Any, ...], Future]]

_CALLS_PER_PROCESS = 4  # Calls under way or finished and not yet yielded.


class Died:
  """The result of a call that killed the process it ran in."""


class Workers(Generic[Result]):
  """Calls one function in several processes; results come in order.

  A call that kills its process (as a segmentation fault in a codec does) gives
  `Died`; the other calls are not affected.

  Example:
    ```
    with Workers(encode_file, processes=4) as workers:
      for result in workers.map((path,) for path in paths):
        ...
    ```
  """

  def __init__(self, function: Callable[..., Result], processes: int) -> None:
    """Creates the pool; processes start with the first call.

    Args:
      function: The function to call. It is pickled, so it has to be at the top
        level of a module.
      processes: Number of processes.
    """
    self._function, self._processes = function, processes
    self._pool: ProcessPoolExecutor | None = None

  def map(
    self, arguments: Iterable[tuple[Any, ...]]
  ) -> Iterator[Result | Died]:
    """Calls the function once with each tuple of arguments.

    Args:
      arguments: The arguments of each call, consumed as calls are submitted: at
        most four per process are under way or waiting to be yielded.

    Yields:
      The result of each call, in order.
    """
    pending: _Pending = collections.deque()
    for call in arguments:
      pending.append((call, self._submit(call)))
      if len(pending) >= _CALLS_PER_PROCESS * self._processes:
        yield self._pop_result(pending)
    while pending:
      yield self._pop_result(pending)

  def close(self) -> None:
    """Cancels the calls that have not begun and ends the processes."""
    self._shut_down(cancel=True)

  def __enter__(self) -> "Workers[Result]":
    """Returns itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Cancels the calls that have not begun and ends the processes."""
    self.close()

  def _pop_result(self, pending: _Pending) -> Result | Died:
    """Waits for the result of the first of the pending calls."""
    if isinstance(pending[0][1].exception(), BrokenProcessPool):
      self._repeat_broken(pending)
    return pending.popleft()[1].result()

  def _repeat_broken(self, pending: _Pending) -> None:
    """Repeats the calls that failed because a process died.

    Any of the calls that were under way may have killed it, so each runs alone
    until one kills its process again; the rest then run in parallel.
    """
    self._shut_down(cancel=False)
    culprit_found = False
    for position, (call, future) in enumerate(pending):
      if not isinstance(future.exception(), BrokenProcessPool):
        continue
      repeated = self._submit(call)
      # `exception` waits: as long as no culprit is found, one call at a time.
      if not culprit_found and isinstance(
        repeated.exception(), BrokenProcessPool
      ):
        self._shut_down(cancel=False)
        culprit_found = True
        repeated = Future()
        repeated.set_result(Died())
      pending[position] = call, repeated

  def _submit(self, call: tuple[Any, ...]) -> Future:
    if self._pool is None:
      self._pool = ProcessPoolExecutor(
        self._processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
      )
    # `submit` may start processes, which ignore Ctrl-C until `_start_worker`
    # has run.
    with signals_blocked(signal.SIGINT), _main_hidden():
      try:
        return self._pool.submit(self._function, *call)
      except BrokenProcessPool as error:
        # An earlier call, whose result was not yet taken, killed its process.
        failed: Future = Future()
        failed.set_exception(error)
        return failed

  def _shut_down(self, cancel: bool) -> None:
    if self._pool is not None:
      self._pool.shutdown(wait=True, cancel_futures=cancel)
      self._pool = None


@contextlib.contextmanager
def _main_hidden() -> Iterator[None]:
  """Keeps processes that start from importing the program of this process.

  Python would run it again in each of them, up to the call that started them. A
  program that calls `hdc_jax.prepare` without asking for its `__name__` would
  thus start processes without end.
  """
  main = sys.modules["__main__"]
  sys.modules["__main__"] = types.ModuleType("__main__")
  try:
    yield
  finally:
    sys.modules["__main__"] = main


def _start_worker() -> None:
  """Prepares a new process to end quietly, and not to outlive its parent."""
  # Ctrl-C reaches all processes. With the default action a worker ends at once
  # and prints nothing; only the parent reports the interruption.
  signal.signal(signal.SIGINT, signal.SIG_DFL)
  signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
  follow_parent()


@contextlib.contextmanager
def signals_blocked(
  *numbers: signal.Signals,
) -> Iterator[None]:
  """Blocks signals in this thread, and in the processes that it starts.

  Those of a process as a whole still reach it by its other threads.

  Args:
    *numbers: The signals, by default SIGINT and SIGTERM.
  """
  blocked = numbers or (signal.SIGINT, signal.SIGTERM)
  mask = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def start_quiet_tracker() -> None:
  """Starts Python's tracker of what processes share, if it does not run yet.

  At the end of a process it removes the memory that was in use, and warns of it
  on stderr. A run that is interrupted always leaves some.
  """
  before = os.environ.get("PYTHONWARNINGS")
  quiet = "ignore:resource_tracker:UserWarning"
  os.environ["PYTHONWARNINGS"] = f"{before},{quiet}" if before else quiet
  try:
    resource_tracker.ensure_running()
  finally:
    if before is None:
      del os.environ["PYTHONWARNINGS"]
    else:
      os.environ["PYTHONWARNINGS"] = before


def follow_parent(*_: int) -> None:
  """Ends this process when its parent has ended, even if that was killed.

  On Linux the kernel kills it, whatever it is doing: the pipe that tells of the
  parent's end sends it SIGKILL. Elsewhere, and if the parent has ended before,
  a thread ends it.

  Choice: PR_SET_PDEATHSIG would kill it when the *thread* that started it ends,
  and Grain starts its processes in threads that end earlier.
  """
  parent = multiprocessing.parent_process()
  if parent is None:
    return
  if hasattr(fcntl, "F_SETSIG"):
    pipe = parent.sentinel
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(pipe, fcntl.F_GETFL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, flags | os.O_ASYNC)

  def wait() -> None:
    parent.join()
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()
