"""The metrics of a run by step: metrics.jsonl and TensorBoard."""

import collections
import contextlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Mapping

import jax
import tensorboardX
from etils import epath

from hdc_jax.errors import StorageError
from hdc_jax.runtime import buckets, files

METRICS = "metrics.jsonl"
TENSORBOARD = "tensorboard"
# Seconds from one upload to a bucket to the next.
_INTERVAL = 30.0

_log = logging.getLogger(__name__)


class MetricsWriter:
  """Writes scalars by step to metrics.jsonl and TensorBoard event files.

  A context manager. Only process 0 writes. Buckets store only whole files, so
  there the files are written every `_INTERVAL` seconds and at the end.
  """

  def __init__(self, workdir: epath.PathLike, first_step: int = 0) -> None:
    """Opens the files, and drops the steps that a resumed run repeats.

    Args:
      workdir: Directory of the run.
      first_step: Step at which the run starts; lines of later steps were
        written before an interruption, and are dropped.
    """
    self._open = jax.process_index() == 0
    if not self._open:
      return
    self._workdir = epath.Path(workdir)
    self._remote = buckets.is_remote(workdir)
    kept = [m for m in read_metrics(workdir) if m["step"] <= first_step]
    self._lines = [json.dumps(m) + "\n" for m in kept]
    self._temporary = contextlib.ExitStack()
    board = os.fspath(self._workdir)
    if self._remote:
      board = self._temporary.enter_context(tempfile.TemporaryDirectory())
    self._events = epath.Path(board) / TENSORBOARD
    self._board = tensorboardX.SummaryWriter(
      os.fspath(self._events), purge_step=first_step + 1
    )
    self._save()

  def __enter__(self) -> "MetricsWriter":
    return self

  def __exit__(self, *_: object) -> None:
    if self._open:
      self._board.close()
      self._save()
      self._temporary.close()

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Adds a line to metrics.jsonl and a point to each curve of TensorBoard.

    Args:
      step: Step of the values.
      scalars: Values by name.
    """
    if not self._open:
      return
    self._lines.append(json.dumps({"step": step} | dict(scalars)) + "\n")
    for name, value in scalars.items():
      self._board.add_scalar(name, value, step)
    if not self._remote or time.monotonic() - self._saved >= _INTERVAL:
      self._save()

  def _save(self) -> None:
    """Writes the files; if a bucket fails, the next call tries again."""
    self._saved = time.monotonic()
    try:
      files.write(self._workdir / METRICS, "".join(self._lines).encode())
      for file in self._events.iterdir() if self._remote else ():
        content = file.read_bytes()
        files.write(self._workdir / TENSORBOARD / file.name, content)
    except StorageError as error:
      _log.warning("metrics are not up to date: %s", error)


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
    self._count = 0
    self._steps = 0
    self._seconds = self._waited = 0.0
    self._last: float | None = None

  def update(
    self, scalars: Mapping[str, float], waited: float
  ) -> dict[str, str]:
    """Adds a finished step.

    Args:
      scalars: Metrics of the step by name, of which one is 'loss'.
      waited: Time that the step waited for data, in seconds.

    Returns:
      Names and values, as text, for the progress line.
    """
    now = time.perf_counter()
    self._sums.update(scalars)
    self._count += 1
    if self._last is not None:
      self._steps += 1
      self._seconds += now - self._last
      self._waited += waited
    self._last = now
    speed = self.speed()
    return {
      "loss": f"{scalars['loss']:.3f}",
      "clips/s": f"{speed['clips_per_second']:.1f}",
      "data wait": f"{speed['data_wait']:.0%}",
    }

  def flush(self) -> dict[str, float]:
    """Returns the means since the last call, and `speed`; resets the means."""
    means = {name: total / self._count for name, total in self._sums.items()}
    self._sums.clear()
    self._count = 0
    return means | self.speed()

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

  A last line that a crash has cut short is dropped.

  Args:
    workdir: Directory of the run.

  Returns:
    Values of each line by name; no lines if there is no such file.
  """
  path = epath.Path(workdir) / METRICS
  if not files.exists(path):
    return []
  lines = files.read_text(path).splitlines(keepends=True)
  return [json.loads(line) for line in lines if line.endswith("\n")]
