"""What ends a run: a signal, a loss not finite, a step that does not end."""

import faulthandler
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

import jax
from jax.experimental import multihost_utils

from hdc_jax.errors import Hung, NonFiniteError


class StopSignal:
  """Notes SIGTERM and Ctrl-C, so that a run can save its state and stop.

  A context manager. A second signal of the kind acts as it would without. Of
  several processes, all stop at the same step, whichever got the signal.

  Attributes:
    received: Name of the signal, or None.
  """

  received: str | None = None

  def __enter__(self) -> "StopSignal":
    self._previous: dict[int, Any] = {
      signal.SIGINT: signal.signal(signal.SIGINT, self._note)
    }
    # With several processes JAX listens to SIGTERM, and tells all of them.
    self._alone = jax.process_count() == 1
    if self._alone:
      self._previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._note)
    return self

  def __exit__(self, *_: object) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)

  def reached(self, step: int) -> bool:
    """Whether to stop after a step; to be asked at every step."""
    if not self._alone and multihost_utils.reached_preemption_sync_point(step):
      self.received = signal.SIGTERM.name
    return self.received is not None

  def _note(self, number: int, frame: FrameType | None) -> None:
    del frame
    signal.signal(number, self._previous[number])
    if self._alone:
      self.received = signal.Signals(number).name
    else:
      os.kill(os.getpid(), signal.SIGTERM)


class Watchdog:
  """Ends a process in which no step has ended for a long time.

  A lost host or a dead disk lets the others wait for ever: nothing can be saved
  then, but a launcher can go on from the last checkpoint. A context manager.
  """

  def __init__(self, seconds: float) -> None:
    """Starts to watch when it is entered.

    Args:
      seconds: How long a step may take; 0 for as long as it likes.
    """
    self._seconds = seconds
    self._last = time.monotonic()
    self._over = threading.Event()

  def __enter__(self) -> "Watchdog":
    self.step_ended()
    if self._seconds:
      threading.Thread(target=self._watch, daemon=True).start()
    return self

  def __exit__(self, *_: object) -> None:
    self._over.set()

  def step_ended(self) -> None:
    """Gives the next step its time."""
    self._last = time.monotonic()

  def _watch(self) -> None:
    while not self._over.wait(self._left()):
      if self._left() <= 0:
        error = Hung(
          f"no step has ended for {self._seconds:g} s (config.train.patience): "
          "where every thread is stands above; rerun the same command to go on "
          "from the last checkpoint"
        )
        faulthandler.dump_traceback(all_threads=True)
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(error.exit_code)

  def _left(self) -> float:
    return self._last + self._seconds - time.monotonic()


def check_finite(step: int, scalars: Mapping[str, float]) -> None:
  """Stops a run whose loss or gradient is not finite.

  The gradient too, since it is what the saved weights were updated with.

  Args:
    step: That gave them.
    scalars: With 'loss' and 'grad_norm'.

  Raises:
    NonFiniteError: Naming the step.
  """
  for name in ("loss", "grad_norm"):
    if not math.isfinite(scalars[name]):
      raise NonFiniteError(
        f"{name} of step {step} is {scalars[name]}: lower config.optim.lr, or "
        "rerun to go on from the last checkpoint"
      )
