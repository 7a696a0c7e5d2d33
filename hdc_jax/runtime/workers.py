"""A pool of processes that outlives the work it is given."""

import collections
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")
_Pending = collections.deque[tuple[tuple[Any, ...], Future]]


class Died:
  """The result of a call that took its process down with it."""


class Workers(Generic[Result]):
  """Calls one function in many processes; results come in order.

  A call that kills its process, as a codec does that runs into a segmentation
  fault, gives `Died`; the others are not affected.
  """

  def __init__(self, function: Callable[..., Result], processes: int) -> None:
    """Starts no process yet.

    Args:
      function: of a module, so that it can be pickled.
      processes: how many to run.
    """
    self._function, self._processes = function, processes
    self._pool: ProcessPoolExecutor | None = None

  def map(
    self, arguments: Iterable[tuple[Any, ...]]
  ) -> Iterator[Result | Died]:
    """Calls the function with each tuple of arguments.

    Args:
      arguments: as many tuples as there are calls; taken as they are needed.

    Yields:
      The results, in order. At most four for each process are under way or
      waiting to be taken.
    """
    pending: _Pending = collections.deque()
    for call in arguments:
      pending.append((call, self._submit(call)))
      if len(pending) >= 4 * self._processes:
        yield self._take(pending)
    while pending:
      yield self._take(pending)

  def close(self) -> None:
    """Drops what has not begun and ends the processes."""
    self._shut_down(cancel=True)

  def __enter__(self) -> "Workers[Result]":
    """Returns itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Drops what has not begun and ends the processes."""
    self.close()

  def _take(self, pending: _Pending) -> Result | Died:
    """Waits for the result of the first of the pending calls."""
    if isinstance(pending[0][1].exception(), BrokenProcessPool):
      self._find_culprit(pending)
    return pending.popleft()[1].result()

  def _find_culprit(self, pending: _Pending) -> None:
    """Repeats the calls that a dying process took along.

    Any of those under way may have killed it, so each runs alone until one
    does it again; the rest then go on together.
    """
    self._shut_down(cancel=False)
    found = False
    for place, (call, future) in enumerate(pending):
      if not isinstance(future.exception(), BrokenProcessPool):
        continue
      again = self._submit(call)
      if not found and isinstance(again.exception(), BrokenProcessPool):
        self._shut_down(cancel=False)
        found = True
        again = Future()
        again.set_result(Died())
      pending[place] = call, again

  def _submit(self, call: tuple[Any, ...]) -> Future:
    if self._pool is None:
      self._pool = ProcessPoolExecutor(
        self._processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
      )
    # Processes begin here, deaf to Ctrl-C until `_start_worker` has been run.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
      return self._pool.submit(self._function, *call)
    except BrokenProcessPool as error:  # by an earlier call, not yet taken
      failed = Future()
      failed.set_exception(error)
      return failed
    finally:
      signal.pthread_sigmask(signal.SIG_SETMASK, mask)

  def _shut_down(self, cancel: bool) -> None:
    if self._pool is not None:
      self._pool.shutdown(wait=True, cancel_futures=cancel)
      self._pool = None


def _start_worker() -> None:
  # Ctrl-C reaches all processes; the parent alone has something to say to it.
  signal.signal(signal.SIGINT, signal.SIG_DFL)
  signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
  threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
  """Ends this process with its parent, even if that was killed."""
  if parent := multiprocessing.parent_process():
    parent.join()
    os._exit(1)
