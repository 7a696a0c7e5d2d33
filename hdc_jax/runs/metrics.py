"""What a run writes of itself: metrics.jsonl, TensorBoard, result, config."""

import collections
import contextlib
import importlib.metadata
import json
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import jax
import tensorboardX
from etils import epath

from hdc_jax.errors import StorageError
from hdc_jax.runtime import buckets, files

METRICS, RESULT, CONFIG = "metrics.jsonl", "result.json", "config.json"
TENSORBOARD = "tensorboard"
_INTERVAL = 30.0  # seconds from one writing to a bucket to the next
_VERSIONED = ("hdc-jax", "jax", "jaxlib", "flax", "optax", "grain", "av")

_log = logging.getLogger(__name__)


class MetricsWriter:
  """Writes scalars by step to metrics.jsonl and TensorBoard event files.

  A context manager. Only process 0 writes. A bucket takes files as a whole, and
  seldom: there they are up to date every `_INTERVAL` seconds and at the end.
  """

  def __init__(self, workdir: epath.PathLike, first_step: int = 0) -> None:
    """Opens the files, dropping what a run resumed at `first_step` repeats.

    Args:
      workdir: Of the run.
      first_step: Lines of later steps are from before an interruption.
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
    """Adds one line and one set of TensorBoard points."""
    if not self._open:
      return
    self._lines.append(json.dumps({"step": step} | dict(scalars)) + "\n")
    for name, value in scalars.items():
      self._board.add_scalar(name, value, step)
    if not self._remote or time.monotonic() - self._saved >= _INTERVAL:
      self._save()

  def _save(self) -> None:
    """Writes what there is; a bucket that fails has another chance later."""
    self._saved = time.monotonic()
    try:
      files.write(self._workdir / METRICS, "".join(self._lines).encode())
      for file in self._events.iterdir() if self._remote else ():
        content = file.read_bytes()
        files.write(self._workdir / TENSORBOARD / file.name, content)
    except StorageError as error:
      _log.warning("metrics are not up to date: %s", error)


class Meter:
  """Averages a step's scalars between log lines, and measures speed.

  The first step of a process, which compiles, does not count as speed.
  """

  def __init__(self, clips_per_step: int) -> None:
    """Starts at zero.

    Args:
      clips_per_step: Views encoded per step, over all devices.
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
    """Takes in a finished step.

    Args:
      scalars: Its metrics.
      waited: Seconds that it waited for data.

    Returns:
      What the progress line shows.
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
    """The means since the last flush, with the speed so far."""
    means = {name: total / self._count for name, total in self._sums.items()}
    self._sums.clear()
    self._count = 0
    return means | self.speed()

  def speed(self) -> dict[str, float]:
    """Clips per second, and the part of the time spent waiting for data."""
    seconds = max(self._seconds, 1e-9)
    return {
      "clips_per_second": self._clips * self._steps / seconds,
      "data_wait": self._waited / seconds,
    }


def read_metrics(workdir: epath.PathLike) -> list[dict[str, float]]:
  """The lines of a run's metrics.jsonl, none if there is no such file.

  A line cut short by a crash is left out.
  """
  path = epath.Path(workdir) / METRICS
  if not files.exists(path):
    return []
  lines = files.read_text(path).splitlines(keepends=True)
  return [json.loads(line) for line in lines if line.endswith("\n")]


def versions() -> dict[str, str]:
  """The versions of this package and of those that its results depend on."""
  return {name: importlib.metadata.version(name) for name in _VERSIONED}


def write_result(
  workdir: epath.PathLike, result: Mapping[str, Any]
) -> dict[str, Any]:
  """Writes result.json, adding the device and the versions.

  Returns:
    What was written.
  """
  devices = jax.devices()
  result = dict(result) | {
    "device": f"{len(devices)} × {devices[0].device_kind}",
    "versions": versions(),
  }
  _write_json(workdir, RESULT, result)
  return result


def write_config(workdir: epath.PathLike, config: Mapping[str, Any]) -> None:
  """Writes all fields of a config, by section, as config.json."""
  _write_json(workdir, CONFIG, config)


def _write_json(workdir: epath.PathLike, name: str, value: Any) -> None:
  """Writes a file whole or not at all, on process 0."""
  if jax.process_index() == 0:
    text = json.dumps(value, indent=2) + "\n"
    files.write(epath.Path(workdir) / name, text.encode())


def read_result(workdir: epath.PathLike) -> dict[str, Any]:
  """The result.json of a run, empty if there is none."""
  path = epath.Path(workdir) / RESULT
  return json.loads(files.read_text(path)) if files.exists(path) else {}
