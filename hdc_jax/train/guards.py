"""Guards that end a run: on a signal."""

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any

import jax

from hdc_jax.distributed import processes
from hdc_jax.runtime import interrupts


class StopSignal:
  """Records SIGTERM and Ctrl-C, so that a run can save its state and stop.

  A context manager. A second signal of the same kind has its usual effect. If
  one of several processes receives a signal, all of them stop at the same step.
  In another thread than the main one, which alone receives signals, it does
  nothing.

  Attributes:
    received: Name of the signal; None if there was none.
  """

  received: str | None = None

  def __enter__(self) -> "StopSignal":
    self._deferred = contextlib.ExitStack()
    # With several processes, JAX handles SIGTERM and passes it on to all.
    self._alone = jax.process_count() == 1
    self._previous: dict[int, Any] = {}
    if threading.current_thread() is not threading.main_thread():
      return self
    self._deferred.enter_context(interrupts.deferred())
    self._previous[signal.SIGINT] = signal.signal(signal.SIGINT, self._note)
    if self._alone:
      self._previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._note)
    return self

  def __exit__(self, *_: object) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    self._deferred.close()

  def reached(self) -> bool:
    """Returns whether to stop; must be called at every step."""
    if processes.stop_requested():
      self.received = signal.SIGTERM.name
    return self.received is not None

  def _note(self, number: int, frame: FrameType | None) -> None:
    del frame
    signal.signal(number, self._previous[number])
    if self._alone:
      self.received = signal.Signals(number).name
    else:
      os.kill(os.getpid(), signal.SIGTERM)
