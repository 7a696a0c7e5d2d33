"""Who makes the shards of a dataset: processes here, or Apache Beam.

A runner is a module with `check_options` and `make_shards`. However it spreads
the work, each shard is made of its plan alone and written by `shards.write`, so
that all give the same bytes, and a run of one can be finished by another.
"""

import importlib
from collections.abc import Callable, Sequence

from hdc_jax.errors import ConfigError
from hdc_jax.prepare.runners.job import Job
from hdc_jax.runtime.progress import Progress

__all__ = ["RUNNERS", "Job", "load"]

_BEAM = "hdc_jax.prepare.runners.beam"

# The module of each; those of Beam are called as there.
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
  """The `make_shards` of a runner.

  Args:
    name: One of `RUNNERS`.
    options: To be given to it, see `Job.runner_options`.

  Raises:
    ConfigError: If it does not take the options, or needs what is not
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
