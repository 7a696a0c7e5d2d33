"""Steps that update nothing: their numbers are not finite, or they are named.

A step whose loss, gradient or update is not finite changes nothing but the
counters of the state, see `step.without_update`; the device decides that
without the host. The host counts such steps with the metrics that it reads
anyway, one step late, and ends a run in which too many follow each other. As a
resumed run would meet the same numbers again, the batches of steps can be
passed over by name.
"""

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hdc_jax.errors import ConfigError, NonFiniteError

_log = logging.getLogger(__name__)

_FIELD = "config.train.skip_steps"


@dataclasses.dataclass(frozen=True)
class NamedSteps:
  """Numbers of steps, as a user names them.

  Attributes:
    ranges: First and last number of each range.
  """

  ranges: tuple[tuple[int, int], ...]

  @classmethod
  def parse(cls, text: str) -> "NamedSteps":
    """Reads numbers and ranges of numbers, with commas between them.

    Args:
      text: '' for no step.

    Raises:
      ConfigError: If it has something else.

    Example:
      >>> NamedSteps.parse("70,100:120")
      NamedSteps(ranges=((70, 70), (100, 120)))
    """
    ranges = []
    for part in text.split(",") if text else ():
      first, colon, last = part.strip().partition(":")
      last = last if colon else first
      digits = (first + last).isascii() and first.isdigit() and last.isdigit()
      if not digits or not 1 <= int(first) <= int(last):
        raise ConfigError(
          f"{_FIELD}={text!r}: {part!r} names no step: write numbers and "
          "ranges of steps, from 1 on, such as 70,100:120"
        )
      ranges.append((int(first), int(last)))
    return cls(tuple(ranges))

  def __contains__(self, step: int) -> bool:
    return any(first <= step <= last for first, last in self.ranges)

  @property
  def last(self) -> int:
    """The largest number; 0 if there is none."""
    return max((last for _, last in self.ranges), default=0)

  def check_not_taken(self, earlier: "NamedSteps", step: int) -> None:
    """Checks that all steps are still to be taken, or were passed over.

    Args:
      earlier: What was named when the last of the steps was taken.
      step: Number of steps taken.

    Raises:
      ConfigError: If a step is taken already, with its batch.
    """
    for first, last in self.ranges:
      for number in range(first, min(last, step) + 1):
        if number not in earlier:
          raise ConfigError(
            f"{_FIELD}: step {number} is taken already, as the newest "
            f"checkpoint is that of step {step}: name later steps, or remove "
            f"the checkpoints from step {number} on"
          )


class Skips:
  """Counts the steps that were skipped as they were not finite.

  Attributes:
    total: Number of such steps in the whole run.
    in_a_row: Number of such steps since the last one that was finite.
  """

  def __init__(
    self, limit: int, saved: Mapping[str, int] | None = None
  ) -> None:
    """Begins with what an interrupted run has counted.

    Args:
      limit: Number of steps in a row that may be skipped.
      saved: What `saved` of the interrupted run has returned; by default
        nothing was counted.
    """
    self._limit = limit
    counts = saved or {}
    self.total, self.in_a_row = (
      counts.get(name, 0) for name in ("total", "in_a_row")
    )

  @property
  def saved(self) -> dict[str, int]:
    """The counts, for a checkpoint."""
    return {"total": self.total, "in_a_row": self.in_a_row}

  def add(
    self, step: int, scalars: Mapping[str, Any], ids: Sequence[str]
  ) -> bool:
    """Counts a step, and logs it with its videos if it was skipped.

    Args:
      step: Number of the step.
      scalars: Its metrics by name, with 'loss', 'grad_norm' and 'skipped'.
      ids: The ids of this process's videos in its batch.

    Returns:
      Whether it was skipped.

    Raises:
      NonFiniteError: If too many steps in a row were skipped.
    """
    if not scalars["skipped"]:
      self.in_a_row = 0
      return False
    self.total += 1
    self.in_a_row += 1
    what = next(
      (
        f"{name} is {scalars[name]}"
        for name in ("loss", "grad_norm")
        if not math.isfinite(scalars[name])
      ),
      "update is not finite",
    )
    _log.warning(
      "step %d is skipped, as its %s; its videos: %s",
      step,
      what,
      ", ".join(ids),
    )
    if self.in_a_row > self._limit:
      first = step - self.in_a_row + 1
      steps = f"{first}:{step}" if self.in_a_row > 1 else f"{step}"
      raise NonFiniteError(
        f"{what} at step {step}, and {self.in_a_row} steps in a row were "
        f"skipped, more than config.train.max_skipped={self._limit}: go on "
        "from the last checkpoint with a lower config.optim.lr and "
        f"config.train.resume_with=\"('optim.lr',)\", or without these "
        f"batches, by {_FIELD}={steps}"
      )
    return True
