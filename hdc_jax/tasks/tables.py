"""Task `tables`: a table of the HDC paper, with its figures beside ours.

Every row is a pretraining and its evaluations, each a run in a directory of its
own, where it can be looked at, or run again by itself. Rows (also of other
tables in the same directory) whose pretraining is the same share it.
"""

import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
from etils import epath

from hdc_jax.data import sources
from hdc_jax.errors import ConfigError, require
from hdc_jax.models import BackboneOptions
from hdc_jax.options import Options, RunConfig, identity, option
from hdc_jax.report import page as report
from hdc_jax.runs import results
from hdc_jax.runs.rows import format_rows
from hdc_jax.runtime import files
from hdc_jax.tasks import finetune, papers, pretrain, retrieve
from hdc_jax.tasks.base import Task
from hdc_jax.tasks.costs import Cost

_log = logging.getLogger(__name__)

# The name of the pretraining that the config describes.
_FULL = "full"

_PREPARED = "what `python -m hdc_jax.prepare` wrote"


@dataclasses.dataclass(frozen=True)
class Chosen(Options):
  """Which table to make, and where the datasets of its evaluations are."""

  table: int = option(
    1, "Number of the table in the HDC paper.", choices=papers.TABLES
  )
  ucf101: str = option("", f"Path of UCF101: {_PREPARED}.")
  hmdb51: str = option("", f"Path of HMDB51: {_PREPARED}.")


@dataclasses.dataclass(frozen=True)
class Tables:
  """Options of the task."""

  chosen: Chosen


@dataclasses.dataclass(frozen=True)
class Job:
  """A run of a task.

  Attributes:
    directory: Directory of the run, an absolute path.
    task: The task.
    config: The config of the run.
    evaluation: What the table takes from it; None for a pretraining.
  """

  directory: epath.Path
  task: Task
  config: RunConfig
  evaluation: papers.Evaluation | None = None

  @property
  def state(self) -> str:
    """How far it is: 'done', 'to resume' or 'to do'."""
    result = results.read_result(self.directory)
    if result.get("config_fingerprint") == self.config.fingerprint:
      return "done"
    begun = files.exists(self.directory / results.CONFIG)
    return "to resume" if begun else "to do"

  @functools.cached_property
  def options(self) -> Any:
    """The options of the task.

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
    """What it takes.

    Args:
      counts: Number of videos of each split of its dataset, and of 'classes'.
    """
    assert self.task.cost is not None, f"the cost of {self.task.name}"
    return self.task.cost(self.options, counts)

  def run(self) -> dict[str, Any]:
    """Runs it; returns what its result.json holds."""
    config = ml_collections.ConfigDict(self.config.values)
    return self.task.run(config, str(self.directory))


@dataclasses.dataclass(frozen=True)
class PlannedRow:
  """A row of a table, and what has to be run for it.

  Attributes:
    row: The row of the paper.
    changes: What its pretraining changes in the config, by dotted field.
    jobs: The runs, in order.
  """

  row: papers.Row
  changes: Mapping[str, Any]
  jobs: Sequence[Job]

  def values(self, done: Mapping[epath.Path, Any]) -> dict[str, Any]:
    """The row of the table, as far as there are results.

    Args:
      done: What the result.json of each job holds, by its directory.
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
  """What a task's result says of the network that was trained."""
  rows = result.get("rows", ())
  trained = [row for row in rows if row.get("network") == "trained"]
  return trained[0] if trained else result


def plan(
  config: ml_collections.ConfigDict, workdir: epath.PathLike
) -> list[PlannedRow]:
  """What `run` would do.

  Args:
    config: A config of this task, see configs/tables.py.
    workdir: The directory that the directories of the runs belong to.

  Returns:
    The rows of the table, in its order.

  Raises:
    ConfigError: If there is no such table, or a path that it needs is not set.
  """
  options, _ = TASK.resolve(config)
  # What a checkpoint is called must not depend on where a command is run.
  planner = _Planner(options.chosen, config, files.absolute(workdir))
  return [planner.row(row) for row in planner.table.rows]


class _Planner:
  """Plans the rows of a table."""

  def __init__(
    self, chosen: Chosen, config: ml_collections.ConfigDict, root: epath.Path
  ) -> None:
    """Checks that all datasets are named.

    Args:
      chosen: Which table, and where its datasets are.
      config: The config of the table, with those of its tasks.
      root: The directory that the directories of the runs belong to.

    Raises:
      ConfigError: If a dataset is not named.
    """
    self.table = papers.TABLES[chosen.table]
    self._root, self._datasets = root, vars(chosen)
    self._configs = {
      name: task.run_config(config[name].to_dict())
      for name, task in TASK.configs.items()
    }
    for evaluation in self.table.evaluations:
      field = evaluation.dataset
      require(f"config.{field}", self._datasets[field], f"name {_PREPARED}")
    path = self._configs["pretrain"].values["data"]["path"]
    require("config.pretrain.data.path", path, f"name {_PREPARED}")
    # Of pretrainings by the fingerprint of their config; grows.
    self._names = {self._configs["pretrain"].fingerprint: _FULL}

  def row(self, row: papers.Row) -> PlannedRow:
    """Plans a row."""
    full = self._configs["pretrain"]
    changed = _changed(full, row.changes)
    jobs, checkpoint = [], ""
    if row.pretrained:
      name = self._names.setdefault(changed.fingerprint, row.name)
      directory = self._root / "pretrain" / name
      jobs = [Job(directory, pretrain.TASK, changed)]
      # With the step, so that no result of a shorter training is taken for it.
      steps = changed.values["train"]["steps"]
      checkpoint = f"{directory}/checkpoints/{steps}"
    backbone = {
      f"model.{field}": value
      for field, value in changed.values["model"].items()
      if field not in ("size", "dtype")
    }
    for evaluation in self.table.evaluations:
      own = _changed(
        self._configs[evaluation.task],
        dict(evaluation.changes)
        | backbone
        | {
          "data.path": self._datasets[evaluation.dataset],
          "checkpoint": checkpoint,
        },
      )
      directory = self._root / evaluation.name / row.name
      task = TASK.configs[evaluation.task]
      jobs.append(Job(directory, task, own, evaluation))
    return PlannedRow(row, _differences(full, changed), jobs)


def _differences(full: RunConfig, changed: RunConfig) -> dict[str, Any]:
  """What a config changes in another, by dotted field.

  Fields that only another backbone has are changed if they are set.
  """
  name = changed.values["model"]["name"]
  before = identity.flatten(full.schema.defaults({"model": name}))
  before |= identity.flatten(full.values)
  after = identity.flatten(changed.values)
  return {k: v for k, v in after.items() if v != before.get(k)}


def _changed(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
  """The config with other values, by dotted field.

  Another backbone has its own stem and shortcuts.
  """
  model = config.values["model"]
  if changes.get("model.name", model["name"]) != model["name"]:
    common = {"name": model["name"]} | BackboneOptions.defaults()
    kept = {field: model[field] for field in common}
    config = dataclasses.replace(config, values=config.values | {"model": kept})
  return config.changed(changes)


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Makes the table, running what is missing or was interrupted.

  Args:
    config: A config of this task, see configs/tables.py.
    workdir: Gets result.json and report.html, which are up to date after every
      row, and below it the directories of the runs: pretrain/<row>, and for
      each evaluation <evaluation>/<row>.

  Returns:
    What result.json holds; under `rows` our percentages and, as
    '<column>_published', the paper's.

  Raises:
    ConfigError, DataError: If config, data or a checkpoint are wrong.
    NonFiniteError: If a loss becomes NaN or infinite.
    Preempted: If a signal stopped a run; its state is saved.
  """
  options, run_config = TASK.resolve(config)
  planned = plan(config, workdir)
  jobs = [job for row in planned for job in row.jobs]
  # A wrong path must not be found out after days of pretraining.
  for path in dict.fromkeys(job.config.values["data"]["path"] for job in jobs):
    sources.read_index(path)
  done = {
    job.directory: results.read_result(job.directory)
    for job in jobs
    if job.state == "done"
  }
  results.write_config(workdir, run_config.values)
  table = options.chosen.table
  own = {
    "task": "tables",
    "table": table,
    "config_fingerprint": run_config.fingerprint,
  }

  def write() -> dict[str, Any]:
    """Writes what there is of the table."""
    rows = [row.values(done) for row in planned]
    result = results.write_result(workdir, own | {"rows": rows})
    report.write(workdir, runs=[workdir])
    return result

  for row in planned:
    for job in row.jobs:
      if job.directory not in done:
        _log.info("row %s: %s", row.row.name, job.directory)
        done[job.directory] = job.run()
    write()
  result = write()
  print(f"Table {table}: {papers.TABLES[table].title}")
  print(format_rows(result["rows"]))
  print(f"report: {files.absolute(workdir) / report.REPORT}")
  return result


TASK = Task(
  "tables",
  "tables of the paper",
  Tables,
  run,
  configs={
    task.name: task for task in (pretrain.TASK, finetune.TASK, retrieve.TASK)
  },
)
