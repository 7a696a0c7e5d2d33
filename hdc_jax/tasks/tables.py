"""Task `tables`: a table of the HDC paper, with the published values.

Every row has a pretraining and its evaluations. Each is a run in a directory of
its own, and can also be run alone. Rows with the same config for pretraining
share one run, even if they belong to different tables in the same directory.
"""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import ml_collections
from etils import epath

from hdc_jax.data import sources
from hdc_jax.errors import require
from hdc_jax.models import BackboneOptions
from hdc_jax.options import Options, RunConfig, identity, option
from hdc_jax.report import page as report
from hdc_jax.runs import results
from hdc_jax.runs.text_table import format_rows
from hdc_jax.runtime import files
from hdc_jax.tasks import finetune, papers, pretrain, retrieve
from hdc_jax.tasks import table_rows as jobs_lib
from hdc_jax.tasks.base import Task

_log = logging.getLogger(__name__)

# Directory of the pretraining of the full model, as `config.pretrain` has it.
_FULL = "full"

_PREPARED = "what `python -m hdc_jax.prepare` wrote"


@dataclasses.dataclass(frozen=True)
class TableChoice(Options):
  """The table to make, and the datasets of its evaluations."""

  table: int = option(
    1, "Number of the table in the HDC paper.", choices=papers.TABLES
  )
  ucf101: str = option("", f"Path of UCF101: {_PREPARED}.")
  hmdb51: str = option("", f"Path of HMDB51: {_PREPARED}.")


@dataclasses.dataclass(frozen=True)
class Tables:
  """Options of task `tables`.

  Attributes:
    chosen: The table, and the paths of its datasets.
  """

  chosen: TableChoice


def plan(
  config: ml_collections.ConfigDict, workdir: epath.PathLike
) -> list[jobs_lib.PlannedRow]:
  """Plans the runs of a table.

  Args:
    config: A config of this task, see configs/tables.py.
    workdir: Directory of the table, which has the directories of the runs.

  Returns:
    The rows with their jobs, in the order of the paper.

  Raises:
    ConfigError: If there is no such table, or a path that it needs is not set.
  """
  options, _ = TASK.resolve(config)
  # Paths of checkpoints must not depend on the current directory.
  planner = _Planner(options.chosen, config, files.absolute(workdir))
  return [planner.plan_row(row) for row in planner.table.rows]


class _Planner:
  """Plans the rows of a table."""

  def __init__(
    self,
    chosen: TableChoice,
    config: ml_collections.ConfigDict,
    root: epath.Path,
  ) -> None:
    """Checks that all datasets are named.

    Args:
      chosen: The table, and the paths of its datasets.
      config: The config of the table, with the config of each of its tasks.
      root: Directory of the table, an absolute path.

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
    # Names of the pretrainings planned so far, by fingerprint of their config.
    self._names = {self._configs["pretrain"].fingerprint: _FULL}

  def plan_row(self, row: papers.Row) -> jobs_lib.PlannedRow:
    """Plans the jobs of a row."""
    full = self._configs["pretrain"]
    changed = _changed(full, row.changes)
    jobs, checkpoint = [], ""
    if row.pretrained:
      name = self._names.setdefault(changed.fingerprint, row.name)
      directory = self._root / "pretrain" / name
      jobs = [jobs_lib.Job(directory, pretrain.TASK, changed)]
      # The path has the step, so that results of a shorter training are not
      # taken for results of this one.
      steps = changed.values["train"]["steps"]
      checkpoint = f"{directory}/checkpoints/{steps}"
    backbone = {
      f"model.{field}": value
      for field, value in changed.values["model"].items()
      if field not in ("size", "dtype")
    }
    for evaluation in self.table.evaluations:
      evaluated = _changed(
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
      jobs.append(jobs_lib.Job(directory, task, evaluated, evaluation))
    return jobs_lib.PlannedRow(row, _differences(full, changed), jobs)


def _differences(full: RunConfig, changed: RunConfig) -> dict[str, Any]:
  """The values of a config that differ from those of the full model.

  Fields that only another backbone has are compared with their defaults.

  Args:
    full: The config of the pretraining of the full model.
    changed: The config of another pretraining.

  Returns:
    Values of `changed`, by dotted field.
  """
  name = changed.values["model"]["name"]
  before = identity.flatten(full.schema.defaults({"model": name}))
  before |= identity.flatten(full.values)
  after = identity.flatten(changed.values)
  return {k: v for k, v in after.items() if v != before.get(k)}


def _changed(config: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
  """A config with other values.

  If the backbone changes, the fields that only some backbones have get their
  defaults.

  Args:
    config: The config to change.
    changes: Values by dotted field.
  """
  model = config.values["model"]
  if changes.get("model.name", model["name"]) != model["name"]:
    common = {"name": model["name"]} | BackboneOptions.defaults()
    kept = {field: model[field] for field in common}
    config = dataclasses.replace(config, values=config.values | {"model": kept})
  return config.changed(changes)


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Makes a table, and runs the jobs that are missing or were interrupted.

  Args:
    config: A config of this task, see configs/tables.py.
    workdir: Directory of the table. It gets result.json and report.html, which
      are up to date after every row, and the directories of the runs:
      pretrain/<row>, and for each evaluation <evaluation>/<row>.

  Returns:
    The content of result.json. Its `rows` have the measured percentages and,
    as '<column>_published', those of the paper.

  Raises:
    ConfigError: If the config is wrong, or does not fit the data or a
      checkpoint.
    DataError: If the data or a checkpoint is missing or damaged.
    NonFiniteError: If too many steps in a row are not finite.
    Preempted: If a signal stopped a run; its state is saved.
  """
  options, run_config = TASK.resolve(config)
  planned = plan(config, workdir)
  jobs = [job for row in planned for job in row.jobs]
  # Find a wrong path now, and not after days of pretraining.
  for path in dict.fromkeys(job.config.values["data"]["path"] for job in jobs):
    sources.read_index(path)
  done = {
    job.directory: results.read_result(job.directory)
    for job in jobs
    if job.state == "done"
  }
  results.write_config(workdir, run_config.values)
  table = options.chosen.table
  stamp = {
    "task": "tables",
    "table": table,
    "config_fingerprint": run_config.fingerprint,
  }

  def write_table() -> dict[str, Any]:
    """Writes the values measured so far, and returns what result.json has."""
    rows = [row.values(done) for row in planned]
    result = results.write_result(workdir, stamp | {"rows": rows})
    report.write(workdir, runs=[workdir])
    return result

  for row in planned:
    for job in row.jobs:
      if job.directory not in done:
        _log.info("row %s: %s", row.row.name, job.directory)
        done[job.directory] = job.run()
    write_table()
  result = write_table()
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
