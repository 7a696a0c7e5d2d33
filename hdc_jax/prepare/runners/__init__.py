"""Runners, which make the shards: processes on this machine, or Apache Beam.

A runner is a module with `check_options` and `make_shards`. However it spreads
the work, each shard is made from its plan alone and written by `shards.write`,
so that all runners give the same bytes, and one can finish what another began.
"""

import importlib
from collections.abc import Callable, Sequence

from hdc_jax.errors import ConfigError
from hdc_jax.prepare.runners.job import Job
from hdc_jax.runtime.progress import Progress

__all__ = ["RUNNERS", "Job", "load"]

_BEAM = "hdc_jax.prepare.runners.beam"

# The module of each runner; those of Beam have Beam's names.
RUNNERS: dict[str, str] = {
  "local": "hdc_jax.prepare.runners.local",
  "DirectRunner": _BEAM,
  "DataflowRunner": _BEAM,
  "FlinkRunner": _BEAM,
  "PortableRunner": _BEAM,
  "PrismRunner": _BEAM,
  "SparkRunner": _BEAM,
}


def load(name: str, options: Sequence[str]) -> Callable[[Job, Progress], None]:
  """Loads a runner.

  Args:
    name: Name of the runner, one of `RUNNERS`.
    options: Its arguments, as `Job.runner_options`.

  Returns:
    Its function `make_shards`, which makes the shards of a job.

  Raises:
    ConfigError: If it does not take the options, or needs a package that is not
      installed.
  """
  try:
    runner = importlib.import_module(RUNNERS[name])
  except ModuleNotFoundError as error:
    if error.name != "apache_beam":
      raise
    raise ConfigError(
      f"--runner={name} needs Apache Beam: `pip install apache-beam`"
    ) from error
  runner.check_options(name, options)
  return runner.make_shards
