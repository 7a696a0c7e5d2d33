"""The rows of a table of the paper, and the runs whose results they show.

Each pretraining and each evaluation of a row is a job: a run in a directory of
its own. `tables` plans the rows, and runs their jobs.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
from etils import epath

from hdc_jax.errors import ConfigError
from hdc_jax.options import RunConfig
from hdc_jax.runs import results
from hdc_jax.runtime import files
from hdc_jax.tasks import papers
from hdc_jax.tasks.base import Task
from hdc_jax.tasks.costs import Cost


@dataclasses.dataclass(frozen=True)
class Job:
  """A run of a task.

  Attributes:
    directory: Directory of the run, an absolute path.
    task: The task.
    config: The config of the run.
    evaluation: Which of the table's evaluations the run is; None for a
      pretraining.
  """

  directory: epath.Path
  task: Task
  config: RunConfig
  evaluation: papers.Evaluation | None = None

  @property
  def state(self) -> str:
    """The state of the run: 'done', 'to resume' or 'to do'."""
    result = results.read_result(self.directory)
    if result.get("config_fingerprint") == self.config.fingerprint:
      return "done"
    begun = files.exists(self.directory / results.CONFIG)
    return "to resume" if begun else "to do"

  @functools.cached_property
  def options(self) -> Any:
    """The options of the run, checked.

    Raises:
      ConfigError: Naming the run and the field that is wrong.
    """
    try:
      return self.task.schema.build(self.config.values)
    except ConfigError as error:
      place = f"{self.directory.parent.name}/{self.directory.name}"
      raise ConfigError(
        f"config.{self.task.name}, for the run {place}: {error}"
      ) from error

  def cost(self, counts: Mapping[str, int]) -> Cost:
    """Estimates the cost of the run.

    Args:
      counts: Number of videos of each split of its dataset, and 'classes', the
        number of classes.
    """
    assert self.task.cost is not None, f"the cost of {self.task.name}"
    return self.task.cost(self.options, counts)

  def run(self) -> dict[str, Any]:
    """Runs the task, and returns the content of result.json."""
    config = ml_collections.ConfigDict(self.config.values)
    return self.task.execute(config, self.directory)


@dataclasses.dataclass(frozen=True)
class PlannedRow:
  """A row of a table with its jobs.

  Attributes:
    row: The row of the paper.
    changes: Values of the row's pretraining that differ from `config.pretrain`,
      by dotted field.
    jobs: The runs, in order.
  """

  row: papers.Row
  changes: Mapping[str, Any]
  jobs: Sequence[Job]

  def values(self, done: Mapping[epath.Path, Any]) -> dict[str, Any]:
    """The published values, and those measured so far, by column.

    Args:
      done: The content of result.json of each complete job, by its directory.
    """
    values: dict[str, Any] = {"name": self.row.name}
    for job in self.jobs:
      measured = _measured(done.get(job.directory, {}))
      columns = job.evaluation.columns if job.evaluation else {}
      for column, source in columns.items():
        if source in measured:
          values[column] = measured[source]
        if column in self.row.published:
          values[f"{column}_published"] = self.row.published[column]
    return values


def _measured(result: Mapping[str, Any]) -> Mapping[str, Any]:
  """The values that a result has for the trained network, by column."""
  rows = result.get("rows", ())
  trained = [row for row in rows if row.get("network") == "trained"]
  return trained[0] if trained else result
