"""Timings by repeated runs, and the record of a benchmark."""

import argparse
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

from hdc_jax.config import flags
from hdc_jax.data import feeding
from hdc_jax.runtime import commands


@dataclasses.dataclass(frozen=True)
class Times:
  """Durations of repeated runs of the same function.

  Attributes:
    seconds: Duration of each run in seconds.
  """

  seconds: Sequence[float]

  @property
  def median(self) -> float:
    """The median in seconds."""
    return float(np.median(self.seconds))

  @property
  def spread(self) -> tuple[float, float]:
    """The 10th and the 90th percentile, in seconds."""
    low, high = np.percentile(self.seconds, (10, 90))
    return float(low), float(high)


def alternate(
  runs: Mapping[str, Callable[[], None]], repeats: int, warm_up: int = 2
) -> dict[str, Times]:
  """Times several functions in turn, so that other load affects them alike.

  Args:
    runs: Functions by name; each returns when its work is complete.
    repeats: Number of timed runs of each.
    warm_up: Number of runs of each before the timed ones.

  Returns:
    The durations of each function by its name.
  """
  seconds: dict[str, list[float]] = {name: [] for name in runs}
  for i in range(warm_up + repeats):
    for name, run in runs.items():
      start = time.perf_counter()
      run()
      if i >= warm_up:
        seconds[name].append(time.perf_counter() - start)
  return {name: Times(durations) for name, durations in seconds.items()}


def rows(times: Mapping[str, Times]) -> list[dict[str, Any]]:
  """The rows of a record: name, median and spread of what was timed."""
  return [
    {
      "name": name,
      "seconds": each.median,
      "seconds_p10_p90": each.spread,
    }
    for name, each in times.items()
  ]


def device() -> str:
  """The devices in words, such as '2 cores of AMD EPYC' or '8 × TPU v5e'."""
  first = jax.devices()[0]
  if first.platform == "cpu":
    return f"{len(os.sched_getaffinity(0))} cores of {feeding.processor()}"
  return f"{jax.device_count()} × {first.device_kind}"


def versions(*packages: str) -> dict[str, str]:
  """The versions of Python and of installed packages.

  Args:
    *packages: Names of the packages.

  Returns:
    The versions by name.

  Raises:
    importlib.metadata.PackageNotFoundError: If a package is not installed.
  """
  installed = {name: importlib.metadata.version(name) for name in packages}
  return {"python": platform.python_version()} | installed


def write_json(path: str | None, record: Mapping[str, Any]) -> None:
  """Writes a record as JSON, if there is a path to write it to.

  Args:
    path: Path of the file; None or '' writes nothing.
    record: The record.
  """
  if path:
    with open(path, "w", encoding="utf-8") as file:
      json.dump(record, file, indent=2)
      file.write("\n")


def make_parser(
  name: str, description: str | None, examples: str
) -> argparse.ArgumentParser:
  """Makes the parser of a benchmark that takes a config.

  Args:
    name: Name of the module.
    description: What the benchmark measures.
    examples: Commands, for the end of the help.
  """
  parser = commands.make_parser(
    f"python -m benchmarks.{name}", description, examples
  )
  flags.add_config(parser)
  return parser


def parse(
  parser: argparse.ArgumentParser, argv: Sequence[str]
) -> argparse.Namespace:
  """Parses a command line, with --json for the record.

  Args:
    parser: What `make_parser` returned, with the other options.
    argv: Arguments of the command.

  Returns:
    The options; `fields` has the arguments that set fields of the config.
  """
  parser.add_argument(
    "--json", metavar="FILE", help="file to write the record to"
  )
  options, options.fields = parser.parse_known_args(argv)
  return options
