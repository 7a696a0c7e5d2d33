"""Reads an iterator ahead in a thread, and notices worker processes that end.

A library that waits for the next element of a worker process may wait for ever
if that process has ended without an error. Here the consumer waits for the
thread, and looks at the processes meanwhile.
"""

import multiprocessing
import queue
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, TypeVar

from hdc_jax.errors import DataError, HdcError, Lost
from hdc_jax.runtime.workers import signals_blocked

T = TypeVar("T", covariant=True)

_INTERVAL = 0.2  # seconds between two looks at the processes
# The same until all were seen, and the longest time until then. Python lists
# those that live, so that one that ends between two looks is never seen.
_STARTING_INTERVAL = 0.01
_STARTING_SECONDS = 60.0
# Seconds in which the error of a process that has ended arrives, if it has one;
# and in which the thread is through with an element, before it is left alone.
_ERROR_SECONDS = 1.0
_ELEMENT_SECONDS = 30.0
# Signals by which others end a process, such as the kernel without memory.
_KILLS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Closable(Protocol[T]):
  """An iterator that can be closed."""

  def __next__(self) -> T:
    """The next element."""
    ...

  def close(self) -> None:
    """Ends its processes and threads."""
    ...


def read(iterator: Closable[T], workers: int) -> Iterator[T]:
  """Reads one element ahead.

  Args:
    iterator: Starts its processes when the first element is asked for. It is
      closed at the end.
    workers: Number of its processes.

  Yields:
    The elements, in order.

  Raises:
    Lost: If a process was killed; says so in less than two seconds.
    DataError: If a process has ended in another way, without an error.
  """
  before = set(multiprocessing.active_children())
  elements: queue.Queue[tuple[Any, Exception | None]] = queue.Queue(1)
  stop = threading.Event()
  thread = threading.Thread(
    target=_fill, args=(iterator, elements, stop), daemon=True
  )
  processes: set[BaseProcess] = set()
  # The processes inherit what the thread inherits. Ctrl-C and SIGTERM may reach
  # them as well; it is for this process to end them.
  with signals_blocked():
    thread.start()
  ended, unseen = None, False
  all_seen_by = time.monotonic() + _STARTING_SECONDS
  try:
    while True:
      if len(processes) < workers:
        processes |= set(multiprocessing.active_children()) - before
      try:
        wait = _ERROR_SECONDS
        if ended is None:
          starting = len(processes) < workers
          wait = _STARTING_INTERVAL if starting else _INTERVAL
        element, error = elements.get(timeout=wait)
      except queue.Empty:
        if ended is not None:
          raise _describe(ended) from None
        ended = _first_ended(processes)
        late = time.monotonic() > all_seen_by
        unseen = ended is None and late and len(processes) < workers
        if unseen:
          raise DataError(
            "worker processes of config.data.workers ended as soon as they had "
            "started: run with config.data.workers=0 to see why"
          ) from None
        continue
      if isinstance(error, StopIteration):
        return
      if error is not None:
        ended = _first_ended(processes)
        if ended is not None and ended.exitcode:
          raise _describe(ended) from None
        raise error
      ended = None
      yield element
  finally:
    stop.set()
    if ended is None and not unseen:
      thread.join(_ELEMENT_SECONDS)
      iterator.close()
    else:
      # What the library does now may take without end, as it waits for threads
      # that wait for the process.
      for process in processes:
        process.kill()
      threading.Thread(target=iterator.close, daemon=True).start()


def _fill(
  iterator: Closable[Any], elements: queue.Queue, stop: threading.Event
) -> None:
  """Puts the elements, and at last an error, where they are read."""
  error: Exception | None = None
  while error is None and not stop.is_set():
    element = None
    try:
      element = next(iterator)
    except Exception as raised:
      error = raised
    while not stop.is_set():
      try:
        elements.put((element, error), timeout=_INTERVAL)
        break
      except queue.Full:
        pass


def _first_ended(processes: set[BaseProcess]) -> BaseProcess | None:
  """One of the processes that has ended; None if all go on."""
  return next((p for p in processes if p.exitcode is not None), None)


def _describe(process: BaseProcess) -> HdcError:
  """The error of a process that has ended without one."""
  code = process.exitcode or 0
  if code >= 0:
    return DataError(
      f"worker process {process.pid} of config.data.workers ended with code "
      f"{code} and no error: run with config.data.workers=0 to see why"
    )
  name = signal.Signals(-code).name
  if -code in _KILLS:
    return Lost(
      f"worker process {process.pid} of config.data.workers was killed by "
      f"{name}, perhaps as memory ran out: rerun the same command to go on, or "
      "lower config.data.workers"
    )
  return DataError(
    f"worker process {process.pid} of config.data.workers was ended by {name}: "
    "a video may crash its decoder; prepare the dataset again, which leaves "
    "such videos out"
  )
