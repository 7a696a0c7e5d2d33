"""Task `tables`: a table of the HDC paper, with its figures beside ours.

Every row is a pretraining and its evaluations, each a run in a directory of its
own, where it can be looked at, or run again by itself. Rows (also of other
tables in the same directory) whose pretraining is the same share it.
"""

import dataclasses
import logging
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
from etils import epath

from hdc_jax import models, report
from hdc_jax.config import identity
from hdc_jax.data import sources
from hdc_jax.errors import choose, require
from hdc_jax.runs import results
from hdc_jax.runs.rows import format_rows
from hdc_jax.runtime import files
from hdc_jax.tasks import finetune, papers, pretrain, retrieve

_log = logging.getLogger(__name__)

TASKS = {
  "pretrain": pretrain.run,
  "finetune": finetune.run,
  "retrieve": retrieve.run,
}

# The pretraining that the config describes.
_FULL = "full"

_PREPARED = "name what `python -m hdc_jax.prepare` wrote"


@dataclasses.dataclass(frozen=True)
class Job:
  """A run of a task.

  Attributes:
    directory: Of the run, whole.
    config: Of the task.
    evaluation: What the table takes from it; None for a pretraining.
  """

  directory: epath.Path
  config: ml_collections.ConfigDict
  evaluation: papers.Evaluation | None = None

  @property
  def state(self) -> str:
    """'done', 'to resume' or 'to do'."""
    result = results.read_result(self.directory)
    fingerprint = identity.fingerprint(self.config)
    if result.get("config_fingerprint") == fingerprint:
      return "done"
    begun = files.exists(self.directory / results.CONFIG)
    return "to resume" if begun else "to do"


@dataclasses.dataclass(frozen=True)
class PlannedRow:
  """A row of a table, and what has to be run for it.

  Attributes:
    row: Of the paper.
    changes: Of the config of its pretraining, by dotted field.
    jobs: In order.
  """

  row: papers.Row
  changes: Mapping[str, Any]
  jobs: Sequence[Job]

  def values(self, done: Mapping[epath.Path, Any]) -> dict[str, Any]:
    """The row of the table, as far as there are results.

    Args:
      done: Results of jobs, by directory.
    """
    values: dict[str, Any] = {"name": self.row.name}
    for job in self.jobs:
      found = _measured(done.get(job.directory, {}))
      columns = job.evaluation.columns if job.evaluation else {}
      for column, source in columns.items():
        if source in found:
          values[column] = found[source]
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
    config: See configs/tables.py.
    workdir: To which the directories of the runs belong.

  Returns:
    The rows of the table, in its order.

  Raises:
    ConfigError: If there is no such table, or a path that it needs is not set.
  """
  table = choose("config.table", config.table, papers.TABLES)
  for evaluation in table.evaluations:
    field = evaluation.dataset
    require(f"config.{field}", config[field], _PREPARED)
  require("config.pretrain.data.path", config.pretrain.data.path, _PREPARED)
  # What a checkpoint is called must not depend on where a command is run.
  root = files.absolute(workdir)
  names = {identity.fingerprint(config.pretrain): _FULL}
  return [_plan_row(config, table, row, root, names) for row in table.rows]


def _plan_row(
  config: ml_collections.ConfigDict,
  table: papers.Table,
  row: papers.Row,
  root: epath.Path,
  names: dict[str, str],
) -> PlannedRow:
  """Plans a row.

  Args:
    config: Of the table.
    table: Which has the row.
    row: To plan.
    root: Of all directories.
    names: Of pretrainings by the fingerprint of their config; grows.
  """
  made = _changed(config.pretrain, row.changes)
  jobs, checkpoint = [], ""
  if row.pretrained:
    name = names.setdefault(identity.fingerprint(made), row.name)
    directory = root / "pretrain" / name
    jobs = [Job(directory, made)]
    # With the step, so that no result of a shorter training is taken for it.
    checkpoint = f"{directory}/checkpoints/{made.train.steps}"
  backbone = {f: operator.attrgetter(f)(made) for f in identity.ARCHITECTURE}
  for evaluation in table.evaluations:
    own = _changed(config[evaluation.task], evaluation.changes)
    own.update_from_flattened_dict(backbone)
    own.data.path, own.checkpoint = config[evaluation.dataset], checkpoint
    jobs.append(Job(root / evaluation.name / row.name, own, evaluation))
  before, after = map(identity.flatten, (config.pretrain, made))
  changes = {k: v for k, v in after.items() if v != before[k]}
  return PlannedRow(row, changes, jobs)


def _changed(
  config: ml_collections.ConfigDict, changes: Mapping[str, Any]
) -> ml_collections.ConfigDict:
  """A copy with other values, by dotted field."""
  made = config.copy_and_resolve_references()
  if changes.get("model.name", made.model.name) != made.model.name:
    made.model.update(models.OPTIONS)  # those of the other backbone
  made.update_from_flattened_dict(changes)
  return made


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Makes the table, running what is missing or was interrupted.

  Args:
    config: See configs/tables.py.
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
  planned = plan(config, workdir)
  jobs = [job for row in planned for job in row.jobs]
  # A wrong path must not be found out after days of pretraining.
  for path in dict.fromkeys(job.config.data.path for job in jobs):
    sources.read_index(path)
  done = {
    job.directory: results.read_result(job.directory)
    for job in jobs
    if job.state == "done"
  }
  results.write_config(workdir, config)
  stamp = {
    "task": "tables",
    "table": config.table,
    "config_fingerprint": identity.fingerprint(config),
  }
  for row in planned:
    for job in row.jobs:
      if job.directory not in done:
        _log.info("row %s: %s", row.row.name, job.directory)
        task = TASKS[job.config.task]
        done[job.directory] = task(job.config, str(job.directory))
    rows = [row.values(done) for row in planned]
    result = results.write_result(workdir, stamp | {"rows": rows})
    page = report.write(workdir, runs=[workdir])
  print(f"Table {config.table}: {papers.TABLES[config.table].title}")
  print(format_rows(rows))
  print(f"report: {page}")
  return result
