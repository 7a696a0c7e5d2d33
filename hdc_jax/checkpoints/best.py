"""The best checkpoint of a run, by what was measured of the network."""

import dataclasses
from collections.abc import Mapping, Sequence

import orbax.checkpoint as ocp

# What was measured at each step, by name.
Measured = dict[int, Mapping[str, float]]


def best_of(measured: Measured, monitor: str) -> int | None:
  """The step with the highest value, the first one of equal ones.

  Args:
    measured: What was measured at each step, by name.
    monitor: Name of the measurement to compare.

  Returns:
    The step; None if there is no such measurement.
  """
  values = {
    step: of_step[monitor]
    for step, of_step in measured.items()
    if monitor in of_step
  }
  return max(sorted(values), key=values.__getitem__, default=None)


@dataclasses.dataclass(frozen=True)
class KeepBest:
  """Keeps the best checkpoint: a preservation policy of Orbax.

  Attributes:
    measured: What was measured at each step; it grows with the run.
    monitor: Name of the measurement to compare.
  """

  measured: Measured
  monitor: str

  def should_preserve(
    self,
    checkpoints: Sequence[ocp.checkpoint_managers.PolicyCheckpointInfo],
    *,
    context: ocp.checkpoint_managers.PreservationContext,
  ) -> list[bool]:
    """Which checkpoints to keep: the best, and no other."""
    del context
    steps = [info.step for info in checkpoints]
    kept = {s: values for s, values in self.measured.items() if s in steps}
    best = best_of(kept, self.monitor)
    return [step == best for step in steps]
