"""Measurements of a network while it trains."""

import dataclasses
from collections.abc import Callable, Mapping

from hdc_jax.distributed import processes
from hdc_jax.runs import metrics
from hdc_jax.train.step import TrainState


@dataclasses.dataclass(frozen=True)
class Probing:
  """What is measured of a network in training, and when.

  Attributes:
    every: Steps from one measurement to the next; there is also one before the
      first step and one after the last.
    measure: Function of a state to values by name, of which each begins with
      `metrics.PROBE`. It does not change the state. All processes call it
      together, and get the same values.
  """

  every: int
  measure: Callable[[TrainState], Mapping[str, float]]

  def due(self, step: int, steps: int) -> bool:
    """Whether there is a measurement after a step of so many."""
    return step % self.every == 0 or step == steps

  def missing(self, workdir: str, step: int) -> bool:
    """Whether a run that begins after a step has to measure it first.

    It does before the first step, and where a signal has come between a step
    and its measurement.

    Args:
      workdir: Directory of the run.
      step: The step.
    """
    if step % self.every:
      return False
    measured = [
      line["step"]
      for line in metrics.read_metrics(workdir)
      if any(name.startswith(f"{metrics.PROBE}/") for name in line)
    ]
    # All processes measure it, or none.
    return processes.exchange(step not in measured)[0]
