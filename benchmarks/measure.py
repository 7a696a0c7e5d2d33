"""What the benchmarks have in common: repeated timings, and their record."""

import dataclasses
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hdc_jax.plan import feeding


@dataclasses.dataclass(frozen=True)
class Times:
  """Durations of repeated runs of one thing.

  Attributes:
    seconds: One per run.
  """

  seconds: Sequence[float]

  @property
  def median(self) -> float:
    """In seconds."""
    return float(np.median(self.seconds))

  @property
  def spread(self) -> tuple[float, float]:
    """The 10th and the 90th percentile, in seconds."""
    low, high = np.percentile(self.seconds, (10, 90))
    return float(low), float(high)


def alternate(
  runs: Mapping[str, Callable[[], None]], repeats: int, warm_up: int = 2
) -> dict[str, Times]:
  """Times several things in turn, so that a busy machine hits them alike.

  Args:
    runs: By name; each waits for what it started.
    repeats: How often each is timed.
    warm_up: How often each is run before.
  """
  seconds: dict[str, list[float]] = {name: [] for name in runs}
  for i in range(warm_up + repeats):
    for name, run in runs.items():
      start = time.perf_counter()
      run()
      if i >= warm_up:
        seconds[name].append(time.perf_counter() - start)
  return {name: Times(found) for name, found in seconds.items()}


def device() -> str:
  """The devices in words, as '2 cores of an AMD EPYC' or '8 × TPU v5e'."""
  first = jax.devices()[0]
  if first.platform == "cpu":
    return f"{len(os.sched_getaffinity(0))} cores of {feeding.processor()}"
  return f"{jax.device_count()} × {first.device_kind}"


def versions(*packages: str) -> dict[str, str]:
  """Of Python and of installed packages."""
  found = {name: importlib.metadata.version(name) for name in packages}
  return {"python": platform.python_version()} | found


def write_json(path: str, record: Mapping[str, Any]) -> None:
  """Writes a record, if there is a path to write it to."""
  if path:
    with open(path, "w", encoding="utf-8") as file:
      json.dump(record, file, indent=2)
      file.write("\n")
