"""Guards that end a run: on a signal, a non-finite loss or a hung step."""

import contextlib
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
from hdc_jax.runtime import interrupts


class StopSignal:
  """Records SIGTERM and Ctrl-C, so that a run can save its state and stop.

  A context manager. A second signal of the same kind has its usual effect. If
  one of several processes receives a signal, all of them stop at the same step.

  Attributes:
    received: Name of the signal; None if there was none.
  """

  received: str | None = None

  def __enter__(self) -> "StopSignal":
    self._deferred = contextlib.ExitStack()
    self._deferred.enter_context(interrupts.deferred())
    self._previous: dict[int, Any] = {
      signal.SIGINT: signal.signal(signal.SIGINT, self._note)
    }
    # With several processes, JAX handles SIGTERM and passes it on to all.
    self._alone = jax.process_count() == 1
    if self._alone:
      self._previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._note)
    return self

  def __exit__(self, *_: object) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    self._deferred.close()

  def reached(self, step: int) -> bool:
    """Returns whether to stop after a step; must be called at every step."""
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
  """Ends the process if a step takes too long.

  When a host is lost or a disk fails, the other processes would never end.
  They cannot save their state then, but a launcher can resume the run from the
  last checkpoint. A context manager, which watches while it is entered.
  """

  def __init__(self, seconds: float) -> None:
    """Sets the time limit.

    Args:
      seconds: Longest duration of a step, in seconds; 0 for no limit.
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
    """Restarts the clock, for the next step."""
    self._last = time.monotonic()

  def _watch(self) -> None:
    while not self._over.wait(self._remaining()):
      if self._remaining() <= 0:
        error = Hung(
          f"no step has ended for {self._seconds:g} s (config.train.patience): "
          "the stacks of all threads are above; rerun the same command to go "
          "on from the last checkpoint"
        )
        faulthandler.dump_traceback(all_threads=True)
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(error.exit_code)

  def _remaining(self) -> float:
    """Seconds until the step is taken for hung."""
    return self._last + self._seconds - time.monotonic()


def check_finite(step: int, scalars: Mapping[str, float]) -> None:
  """Checks that the loss and the gradient of a step are finite.

  The gradient is checked as well, because it has updated the weights that are
  saved next.

  Args:
    step: Number of the step, for the message.
    scalars: Metrics of the step by name, with 'loss' and 'grad_norm'.

  Raises:
    NonFiniteError: If one of them is not finite; names the step.
  """
  for name in ("loss", "grad_norm"):
    if not math.isfinite(scalars[name]):
      raise NonFiniteError(
        f"{name} of step {step} is {scalars[name]}: lower config.optim.lr, or "
        "rerun to go on from the last checkpoint"
      )
