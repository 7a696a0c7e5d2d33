"""What stops a run in good order: a signal, or a loss that is not a number."""

import math
import signal
from collections.abc import Mapping
from types import FrameType

from hdc_jax.errors import NonFiniteError


class StopSignal:
  """Notes SIGTERM and Ctrl-C, so that a run can save its state and stop.

  A context manager. A second signal of the kind acts as it would without.

  Attributes:
    received: Name of the signal, or None.
  """

  received: str | None = None

  def __enter__(self) -> "StopSignal":
    self._previous = {
      number: signal.signal(number, self._note)
      for number in (signal.SIGTERM, signal.SIGINT)
    }
    return self

  def __exit__(self, *_: object) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)

  def _note(self, number: int, frame: FrameType | None) -> None:
    del frame
    self.received = signal.Signals(number).name
    signal.signal(number, self._previous[number])


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
