"""Dry runs: a description of what a command would run."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import ml_collections
from etils import epath

from hdc_jax import tasks
from hdc_jax.data import mixtures
from hdc_jax.data.datasets import hmdb51, ucf101
from hdc_jax.data.store.index import INDEX, Index
from hdc_jax.options import identity
from hdc_jax.runtime import buckets, files
from hdc_jax.tasks import papers, table_rows, tables
from hdc_jax.tasks.costs import Cost
from hdc_jax.tasks.train_and_test import Supervised

_log = logging.getLogger(__name__)

_COUNTS = {"ucf101": ucf101.OFFICIAL, "hmdb51": hmdb51.OFFICIAL}

# Fields, or beginnings of their names, on which no estimate depends.
_FREE = ("augment.", "checkpoint", "optim.")

_NOTE = """\
These are estimates. FLOPs are those of the network, forward and backward, two
for a multiplication and an addition; augmentation is not counted. Evaluations
are estimated with the official number of videos, as if each had 300 frames
(those of UCF101 have fewer on average), whatever datasets the paths hold."""


def describe(config: ml_collections.ConfigDict, workdir: str) -> str:
  """Describes what a task would run; writes nothing, and reads no videos.

  Datasets that are on this machine already are checked.

  Args:
    config: A config of any task.
    workdir: Directory of the run; '' for none. One in a bucket is not looked
      at, as the bucket may be out of reach.

  Returns:
    For task `tables`, its runs with their states and costs; else the config, as
    JSON.

  Raises:
    ConfigError: If the directory holds the run of another task, or a dataset
      does not have the splits, labels or clips of a run; or see `tables.plan`.
    DataError: If a dataset is damaged.
  """
  if workdir and not buckets.is_remote(workdir):
    tasks.check_workdir(config, workdir)
  runs = tasks.resolve(config, workdir)
  for _, options, _ in runs:
    _check_dataset(options)
    if isinstance(options, Supervised):
      options.warn()
  (task, _, run_config), *others = runs
  if others:
    return "\n".join(_describe_table(config, workdir))
  return json.dumps({"task": task.name} | run_config.values, indent=2)


def _check_dataset(options: Any) -> None:
  """Checks the options of a run against its dataset, if that is here."""
  path = options.dataset.path
  for one in mixtures.paths(path):
    if buckets.is_remote(one) or not files.exists(epath.Path(one) / INDEX):
      return
  index = mixtures.read_index(path, Index.load)
  options.check_dataset(index)
  if described := options.describe_clips(index):
    _log.info("%s: %s", path, described)


def _describe_table(
  config: ml_collections.ConfigDict, workdir: str
) -> Iterator[str]:
  """Yields the lines that describe the runs of a table."""
  planned = tables.plan(config, workdir)
  root = files.absolute(workdir)
  yield f"Table {config.table}: {papers.TABLES[config.table].title}"
  yield f"in {root}"
  yield ""
  yield _line("run", "state", "steps", "clips", "exaFLOPs")
  costs: dict[tuple[str, str], Cost] = {}
  seen = set()
  total = missing = Cost()
  for row in planned:
    yield f"{row.row.name}: {_differs(row)}"
    for job in row.jobs:
      state, cost = job.state, _estimate(job, costs)
      if job.directory in seen:
        state, cost = "shared", Cost()
      seen.add(job.directory)
      total += cost
      if state != "done":
        missing += cost
      yield _cost_line(str(job.directory.relative_to(root)), state, cost)
  yield _cost_line("total", "", total)
  yield _cost_line("still to run", "", missing)
  yield _NOTE


def _differs(row: table_rows.PlannedRow) -> str:
  """The fields in which a row's pretraining differs from the config's."""
  if not row.row.pretrained:
    return "no pretraining"
  changes = (f"{k}={json.dumps(v)}" for k, v in row.changes.items())
  return " ".join(changes) or "config.pretrain as it is"


def _estimate(job: table_rows.Job, known: dict[tuple[str, str], Cost]) -> Cost:
  """Estimates the cost of a job.

  Args:
    job: The job.
    known: Costs by dataset and fields, as counting FLOPs takes seconds; the
      cost of the job is added.
  """
  dataset = job.evaluation.dataset if job.evaluation else ""
  fields = identity.flatten(job.config.values).items()
  key = dataset, json.dumps([f for f in fields if not f[0].startswith(_FREE)])
  if key not in known:
    known[key] = job.cost(_COUNTS.get(dataset, {}))
  return known[key]


def _cost_line(name: str, state: str, cost: Cost) -> str:
  """A line for a run with its cost."""
  values = f"{cost.steps:,}", f"{cost.clips:,}", f"{cost.flops / 1e18:.3g}"
  return _line(name, state, *values)


def _line(name: str, state: str, *values: str) -> str:
  """A line with its columns aligned."""
  return f"  {name:<30}{state:<10}" + "".join(f"{n:>12}" for n in values)
