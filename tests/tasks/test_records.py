"""Records of tasks: what main, preflight and the launchers read there."""

import pytest

from hdc_jax.errors import ConfigError
from hdc_jax.runs.read import Run
from hdc_jax.tasks import TASKS, check_batches, tables
from tests import small

every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


@every_task
def test_its_fields_are_there(task):
  assert TASKS[task.name] is task
  known = {".".join(path) for path in task.schema.known()}
  assert set(task.recipe) <= known
  assert set(task.batches) <= known


@every_task
def test_its_batches_must_split(task):
  for field in task.batches:
    changes = {field.replace(".", "__"): 9}
    _, config = task.resolve(complete(task, **changes))
    check_batches(task, config, devices=1)
    with pytest.raises(ConfigError, match=rf"^config\.{field}=9 does not"):
      check_batches(task, config, devices=8)


def test_microbatches_must_split():
  task = TASKS["pretrain"]
  changes = {"data__batch_size": 16, "train__microbatches": 4}
  _, config = task.resolve(complete(task, **changes))
  check_batches(task, config, devices=4)
  with pytest.raises(ConfigError, match=r"^config\.train\.microbatches=4 does"):
    check_batches(task, config, devices=8)


def test_lanes_must_split_over_processes():
  task = TASKS["pretrain"]
  changes = {"data__batch_size": 24, "data__lanes": 4}
  _, config = task.resolve(complete(task, **changes))
  check_batches(task, config, devices=8, processes=2)
  with pytest.raises(
    ConfigError, match=r"lanes=4 do not split over 8 processes: use 1 or 8$"
  ):
    check_batches(task, config, devices=8, processes=8)


@every_task
def test_preflight_can_check_its_dataset_and_checkpoint(task):
  if task is tables.TASK:  # whose runs are checked one by one
    return
  options = small.options(task.name)
  assert options.dataset.path == "x"
  assert options.checkpoint in ("", "x")
  assert callable(options.check_dataset)


@every_task
def test_a_report_calls_it_by_its_title(task):
  if task.name == "preview":  # which is no part of reports
    return
  run = Run("run", [], {}, {"task": task.name}, {}, {}, [], {})
  assert run.task == task.title


def test_the_cost_of_a_table_is_known():
  assert all(task.cost for task in tables.TASK.configs.values())


def complete(task, **changes):
  """A config with all paths that the task must have."""
  paths = {"data__path": "x", "checkpoint": "x"}
  known = {"__".join(path) for path in task.schema.known()}
  needed = {field: path for field, path in paths.items() if field in known}
  return small.config(task.name, **needed | changes)
