"""What a run writes of itself: metrics.jsonl, TensorBoard, result, config."""

import collections
import importlib.metadata
import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
import tensorboardX
from etils import epath

from hdc_jax import files

METRICS, RESULT, CONFIG = "metrics.jsonl", "result.json", "config.json"
_VERSIONED = ("hdc-jax", "jax", "jaxlib", "flax", "optax", "grain", "av")


class MetricsWriter:
  """Appends scalars by step to metrics.jsonl and TensorBoard event files.

  A context manager. Only process 0 writes.
  """

  def __init__(self, workdir: epath.PathLike, first_step: int = 0) -> None:
    """Opens the files, dropping what a run resumed at `first_step` repeats.

    Args:
      workdir: Of the run.
      first_step: Lines of later steps are from before an interruption.
    """
    self._file = self._board = None
    if jax.process_index():
      return
    path = pathlib.Path(workdir) / METRICS
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [m for m in read_metrics(workdir) if m["step"] <= first_step]
    path.write_text("".join(json.dumps(m) + "\n" for m in kept))
    self._file = path.open("a")
    self._board = tensorboardX.SummaryWriter(
      str(path.parent / "tensorboard"), purge_step=first_step + 1
    )

  def __enter__(self) -> "MetricsWriter":
    return self

  def __exit__(self, *_: object) -> None:
    if self._file:
      self._file.close()
      self._board.close()

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Writes one line and one set of TensorBoard points."""
    if not self._file:
      return
    self._file.write(json.dumps({"step": step} | dict(scalars)) + "\n")
    self._file.flush()
    for name, value in scalars.items():
      self._board.add_scalar(name, value, step)


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
  if not path.exists():
    return []
  lines = path.read_text().splitlines(keepends=True)
  return [json.loads(line) for line in lines if line.endswith("\n")]


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
    "versions": {n: importlib.metadata.version(n) for n in _VERSIONED},
  }
  _write_json(workdir, RESULT, result)
  return result


def write_config(
  workdir: epath.PathLike, config: ml_collections.ConfigDict
) -> None:
  """Writes the resolved config as config.json."""
  _write_json(workdir, CONFIG, config.to_dict())


def _write_json(workdir: epath.PathLike, name: str, value: Any) -> None:
  """Writes a file whole or not at all, on process 0."""
  if jax.process_index() == 0:
    text = json.dumps(value, indent=2) + "\n"
    files.write(epath.Path(workdir) / name, text.encode())


def read_result(workdir: epath.PathLike) -> dict[str, Any]:
  """The result.json of a run, empty if there is none."""
  path = epath.Path(workdir) / RESULT
  return json.loads(path.read_text()) if path.exists() else {}
