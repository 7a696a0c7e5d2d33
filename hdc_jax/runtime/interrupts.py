"""Ctrl-C and SIGTERM: both end a command, whatever it is doing.

Python handles a signal between two steps of the main thread, by raising an
exception there. That is not always enough. Native code, such as a compilation,
may keep the main thread for minutes; and an exception that is raised in a
callback, such as one of the garbage collector, goes no further. So a thread
watches: it raises a lost exception again, and ends the process if the main
thread does not.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

# Seconds until a process is ended whose main thread does not come back from
# native code; whose main thread takes so long to clear up; and that has got a
# second signal, if the main thread has not ended it at once.
STUCK_SECONDS = 5.0
GRACE_SECONDS = 30.0
SECOND_SECONDS = 1.0
_INTERVAL = 0.2  # seconds between two looks at the main thread

_deferrals = 0  # how many `deferred` blocks the main thread is in


class Terminated(KeyboardInterrupt):
  """SIGTERM, which ends a command in the same way as Ctrl-C does."""


_ERRORS: dict[int, type[KeyboardInterrupt]] = {
  signal.SIGINT: KeyboardInterrupt,
  signal.SIGTERM: Terminated,
}


@contextlib.contextmanager
def handled(
  end: Callable[[KeyboardInterrupt], NoReturn],
) -> Iterator[Callable[[], None]]:
  """Has SIGINT and SIGTERM end the process.

  At first they end it at once: while modules are imported, since those written
  in C++ make other errors of an exception, and there is nothing to clear up.
  Where somebody handles SIGTERM already, and in other threads, nothing changes.

  Args:
    end: Ends the process at once. It is called from another thread if the main
      thread does not leave the `with` block in time, and on a second signal.

  Yields:
    A function to call where there is something to clear up: from then on,
    signals raise an exception in the main thread.
  """
  is_main = threading.current_thread() is threading.main_thread()
  if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
    yield lambda: None
    return
  watch = _Watch(end)
  watch.start()
  try:
    yield watch.raise_from_now_on
  finally:
    watch.stop()


@contextlib.contextmanager
def deferred() -> Iterator[None]:
  """Marks a block of the main thread that handles signals in its own time."""
  global _deferrals
  _deferrals += 1
  try:
    yield
  finally:
    _deferrals -= 1


class _Watch:
  """Raises what signals ask for, and watches that it has an effect."""

  def __init__(self, end: Callable[[KeyboardInterrupt], NoReturn]) -> None:
    self._end = end
    self._raises = False  # whether there is something to clear up
    self._raised = False  # the main thread was given an exception
    self._lost = False  # something swallowed it
    self._resent = 0  # signals to raise it again
    self._ending = threading.Lock()

  def start(self) -> None:
    """Takes over the signals; call it in the main thread."""
    self._reader, self._writer = os.pipe()
    os.set_blocking(self._writer, False)
    self._handlers: dict[int, Any] = {
      number: signal.signal(number, self._handle) for number in _ERRORS
    }
    self._hook, sys.unraisablehook = sys.unraisablehook, self._note_lost
    # Python writes the number of a signal there as soon as it arrives.
    self._previous = signal.set_wakeup_fd(
      self._writer, warn_on_full_buffer=False
    )
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._thread.start()

  def raise_from_now_on(self) -> None:
    """Gives the main thread the time to clear up, when a signal arrives."""
    self._raises = True

  def stop(self) -> None:
    """Gives the signals back to those who had them; ends the thread."""
    signal.set_wakeup_fd(self._previous)
    for number, handler in self._handlers.items():
      signal.signal(number, handler)
    sys.unraisablehook = self._hook
    os.close(self._writer)
    self._thread.join()
    os.close(self._reader)

  def _handle(self, number: int, frame: FrameType | None) -> NoReturn:
    """Raises the exception of a signal in the main thread, or ends all."""
    del frame
    error = _ERRORS[number]()
    if self._resent:
      self._resent -= 1
    elif self._raised or not self._raises:
      self._end_once(error)
    self._raised = True
    raise error

  def _note_lost(self, unraisable: Any) -> None:
    """Notes an exception of ours that goes no further, of all that do so."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
      self._lost = True
    else:
      self._hook(unraisable)

  def _run(self) -> None:
    """Waits for signals, until the other end of the pipe is closed."""
    while received := os.read(self._reader, 1):
      if received[0] in _ERRORS and not _deferrals:
        self._see_through(received[0])
        return

  def _see_through(self, number: int) -> None:
    """Watches the main thread until it leaves the block, or ends the process.

    Args:
      number: The signal that has arrived.
    """
    start, again, own = time.monotonic(), False, 0
    while True:
      if select.select([self._reader], [], [], _INTERVAL)[0]:
        received = os.read(self._reader, 1)
        if not received:
          return
        if received[0] in _ERRORS:
          again, own = own == 0, max(0, own - 1)
      if self._lost:
        self._lost, self._resent, own = False, self._resent + 1, own + 1
        signal.pthread_kill(threading.main_thread().ident or 0, number)
      limit = GRACE_SECONDS if self._raised else STUCK_SECONDS * self._raises
      if time.monotonic() - start > (SECOND_SECONDS if again else limit):
        break
    self._end_once(_ERRORS[number]())

  def _end_once(self, error: KeyboardInterrupt) -> NoReturn:
    """Ends the process; in one thread, if two of them come to that."""
    with self._ending:
      self._end(error)
