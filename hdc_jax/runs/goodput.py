"""Goodput: the share of a run's time in which it takes steps that count.

The time of a run goes from the start of its first process to the end of its
last one, with all interruptions. Each second of it has one cause. What is not
spent in steps that count is lost: to starts, compilation, waiting, saving, the
probe, interruptions, and steps that were taken but not saved and so are
repeated. The causes are kept in goodput.json, so that they add up over
restarts.
"""

import contextlib
import dataclasses
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import jax
from etils import epath

from hdc_jax.errors import StorageError
from hdc_jax.runtime import files

GOODPUT = "goodput.json"
# What each cause is called where people read it.
CAUSES: Mapping[str, str] = {
  "step": "steps",
  "start": "starting",
  "compile": "compiling",
  "input": "waiting for data",
  "checkpoint": "saving",
  "probe": "probing",
  "repeated": "repeated steps",
  "down": "interruptions",
}
STEP = "step"

_log = logging.getLogger(__name__)


@dataclasses.dataclass
class Ledger:
  """Adds up the seconds of a run by cause, over all of its processes.

  It begins with the cause 'start'. After `resume`, seconds are those of steps,
  except within `spend`. What a process did after it last wrote the file, before
  it was killed, counts as interruption.

  Attributes:
    workdir: Directory of the run.
    clock: Gives the time in seconds, the same for all processes.
    interval: Seconds from one writing of the file to the next, at least.
  """

  workdir: epath.PathLike
  clock: Callable[[], float] = time.time
  interval: ClassVar[float] = 10.0

  def __post_init__(self) -> None:
    """Starts the clock."""
    self._began = self._since = self.clock()
    self._cause = "start"
    self._seconds = dict.fromkeys(CAUSES, 0.0)
    # Seconds of steps that count, up to each checkpoint.
    self._at: dict[int, float] = {}
    self._starts = 1
    self._written = self._began

  def resume(self, step: int) -> None:
    """Goes on where an earlier process was, if there was one.

    Args:
      step: The step from which this process goes on. Later ones are repeated.
    """
    earlier = _read(self.workdir)
    if earlier and step:
      self._starts += earlier["starts"]
      for cause, seconds in earlier["seconds"].items():
        self._seconds[cause] += seconds
      self._at = {k: v for k, v in earlier["at"].items() if k <= step}
      counted = self._at.get(step, 0.0)
      self._seconds["repeated"] += max(self._seconds[STEP] - counted, 0.0)
      self._seconds[STEP] = counted
      self._seconds["down"] += max(self._began - earlier["until"], 0.0)
    self._switch(STEP)

  @contextlib.contextmanager
  def spend(self, cause: str) -> Iterator[None]:
    """Counts the time within as that of a cause.

    Args:
      cause: A key of `CAUSES`.
    """
    outer = self._cause
    self._switch(cause)
    try:
      yield
    finally:
      self._switch(outer)

  def saved(self, step: int) -> None:
    """Says that a step is saved: the steps up to it are not repeated.

    Args:
      step: Number of the step.
    """
    self._switch(self._cause)
    self._at[step] = self._seconds[STEP]
    self.write()

  def tick(self) -> None:
    """Writes the file, if the last time is long enough ago."""
    if self.clock() - self._written >= self.interval:
      self.write()

  def write(self) -> None:
    """Writes the file, on process 0; a failure is a warning."""
    self._switch(self._cause)
    self._written = self._since
    content = {
      "until": self._since,
      "starts": self._starts,
      "seconds": self._seconds,
      "at": self._at,
    }
    if jax.process_index() != 0:
      return
    try:
      path = epath.Path(self.workdir) / GOODPUT
      files.write(path, (json.dumps(content, indent=2) + "\n").encode())
    except (StorageError, OSError) as error:
      _log.warning("the goodput is not up to date: %s", error)

  def summary(self) -> dict[str, Any]:
    """The entry of result.json.

    Returns:
      'share', that of the steps that count in the whole time; 'seconds', by
      cause; and 'starts', the number of processes that have run one after
      another.
    """
    self._switch(self._cause)
    total = sum(self._seconds.values())
    return {
      "share": self._seconds[STEP] / total if total else 0.0,
      "seconds": {k: round(v, 3) for k, v in self._seconds.items()},
      "starts": self._starts,
    }

  def _switch(self, cause: str) -> None:
    """Counts the time until now, and what follows as that of a cause."""
    now = self.clock()
    self._seconds[self._cause] += now - self._since
    self._since, self._cause = now, cause


def describe_losses(goodput: Mapping[str, Any]) -> str:
  """The causes of lost time, those of 1 % of the time or more, as text.

  Args:
    goodput: What `Ledger.summary` returned.

  Example:
    >>> describe_losses({"seconds": {"step": 70, "probe": 10, "compile": 20}})
    'compiling 20 %, probing 10 %'
  """
  seconds = goodput["seconds"]
  total = sum(seconds.values())
  lost = {k: v / total for k, v in seconds.items() if k != STEP and total}
  return ", ".join(
    f"{CAUSES.get(cause, cause)} {100 * share:.0f} %"
    for cause, share in sorted(lost.items(), key=lambda item: -item[1])
    if share >= 0.01
  )


def _read(workdir: epath.PathLike) -> dict[str, Any]:
  """Reads the file; returns {} if there is none, or none that can be read."""
  path = epath.Path(workdir) / GOODPUT
  try:
    found = json.loads(files.read_text(path)) if files.exists(path) else {}
    seconds, at = dict(found["seconds"]), dict(found["at"])
    return {
      "until": float(found["until"]),
      "starts": int(found["starts"]),
      "seconds": {cause: float(seconds[cause]) for cause in CAUSES},
      "at": {int(step): float(x) for step, x in at.items()},
    }
  except (StorageError, OSError, ValueError, LookupError, TypeError):
    return {}  # The time of earlier processes is lost, and nothing else.
