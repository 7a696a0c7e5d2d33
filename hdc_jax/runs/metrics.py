"""The metrics of a run by step: metrics.jsonl."""

import collections
import contextlib
import json
import logging
import time
from collections.abc import Iterator, Mapping

import jax
from etils import epath

from hdc_jax.errors import ConfigError, StorageError
from hdc_jax.runtime import buckets, durable, files

METRICS = "metrics.jsonl"
# The first part of the names of what the online probe measures.
PROBE = "probe"
# Seconds from one upload to a bucket to the next.
_INTERVAL = 30.0

_log = logging.getLogger(__name__)


class MetricsWriter:
  """Writes scalars by step to metrics.jsonl.

  A context manager. Only process 0 writes. On a disk, lines are appended.
  Buckets store only whole files, so there the file is written every `_INTERVAL`
  seconds and at the end, and all lines are kept in memory.

  A write that fails is a warning and costs no line: the next one has it, too.
  """

  def __init__(self, workdir: epath.PathLike, first_step: int = 0) -> None:
    """Opens the file, and drops the steps that a resumed run repeats.

    Args:
      workdir: Directory of the run.
      first_step: Step at which the run starts; lines of later steps were
        written before an interruption, and are dropped.
    """
    self._open = jax.process_index() == 0
    if not self._open:
      return
    self._path = epath.Path(workdir) / METRICS
    self._remote = buckets.is_remote(workdir)
    kept = [m for m in read_metrics(workdir) if m["step"] <= first_step]
    self._lines = [json.dumps(m) + "\n" for m in kept]  # to be written
    self._size: int | None = None  # of what is written, in bytes
    self._failed = False
    self._save()

  def __enter__(self) -> "MetricsWriter":
    return self

  def __exit__(self, *_: object) -> None:
    if self._open:
      self._save()

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Adds a line.

    Args:
      step: Step of the values.
      scalars: Values by name.
    """
    if not self._open:
      return
    self._lines.append(json.dumps({"step": step} | dict(scalars)) + "\n")
    if not self._remote or time.monotonic() - self._saved >= _INTERVAL:
      self._save()

  def _save(self) -> None:
    """Writes the lines; if the storage fails, the next call tries again."""
    self._saved = time.monotonic()
    with self._warning():
      content = "".join(self._lines).encode()
      if self._remote or self._size is None:
        files.write(self._path, content)
      else:
        durable.append(self._path, content, self._size)
      self._failed = False
      if not self._remote:
        self._size = (self._size or 0) + len(content)
        self._lines.clear()

  @contextlib.contextmanager
  def _warning(self) -> Iterator[None]:
    """Warns of a write that fails, once until one succeeds again."""
    try:
      yield
    except (OSError, StorageError, ConfigError) as error:
      if not self._failed:
        _log.warning("metrics are not up to date: %s", error)
      self._failed = True


class Meter:
  """Averages the metrics of steps between log lines, and measures speed.

  The first step of a process, which compiles, does not count towards the speed.
  """

  def __init__(self, clips_per_step: int) -> None:
    """Starts at zero.

    Args:
      clips_per_step: Number of views encoded in a step, over all devices.
    """
    self._clips = clips_per_step
    self._sums = collections.Counter()
    self._count = self._skipped = 0
    self._steps = 0
    self._seconds = self._waited = 0.0
    self._last: float | None = None

  def update(
    self, scalars: Mapping[str, float] | None, waited: float
  ) -> dict[str, str]:
    """Adds a finished step.

    Args:
      scalars: Metrics of the step by name, of which one is 'loss'; None if it
        was skipped, so that it has no part in the means.
      waited: Time that the step waited for data, in seconds.

    Returns:
      Names and values, as text, for the progress line.
    """
    now = time.perf_counter()
    if scalars is None:
      self._skipped += 1
    else:
      self._sums.update(scalars)
      self._count += 1
    if self._last is not None:
      self._steps += 1
      self._seconds += now - self._last
      self._waited += waited
    self._last = now
    speed = self.speed()
    return {
      "loss": "skipped" if scalars is None else f"{scalars['loss']:.3f}",
      "clips/s": f"{speed['clips_per_second']:.1f}",
      "data wait": f"{speed['data_wait']:.0%}",
    }

  def flush(self) -> dict[str, float]:
    """Returns the means since the last call, and `speed`; resets the means.

    If steps were skipped, their number is there under 'skipped'. Without any
    other step, there are no means.
    """
    means = {name: total / self._count for name, total in self._sums.items()}
    if self._skipped:
      means["skipped"] = float(self._skipped)
    self._sums.clear()
    self._count = self._skipped = 0
    return means | self.speed()

  def pause(self) -> None:
    """Leaves the time until the next step ends out of the speed."""
    self._last = None

  def speed(self) -> dict[str, float]:
    """The speed since the start of the process.

    Returns:
      'clips_per_second'; and 'data_wait', the fraction of the time that was
      spent waiting for data.
    """
    seconds = max(self._seconds, 1e-9)
    return {
      "clips_per_second": self._clips * self._steps / seconds,
      "data_wait": self._waited / seconds,
    }


def read_metrics(workdir: epath.PathLike) -> list[dict[str, float]]:
  """Reads the lines of a run's metrics.jsonl.

  Damaged lines, such as a last one that a crash has cut short, are dropped.

  Args:
    workdir: Directory of the run.

  Returns:
    Values of each line by name; no lines if there is no such file.
  """
  path = epath.Path(workdir) / METRICS
  if not files.exists(path):
    return []
  lines = files.read_text(path).split("\n")
  return [line for line in map(_parse, lines) if line is not None]


def _parse(text: str) -> dict[str, float] | None:
  """A line of metrics.jsonl; None if it is damaged."""
  try:
    line = json.loads(text)
  except (ValueError, RecursionError):
    return None
  if not isinstance(line, dict) or not isinstance(line.get("step"), int):
    return None
  numbers = all(isinstance(value, int | float) for value in line.values())
  return line if numbers else None
