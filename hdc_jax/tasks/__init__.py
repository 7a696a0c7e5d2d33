"""The tasks of `python -m hdc_jax.main`: each has a file with its record.

`main`, the preflight, dry runs and launchers find the tasks in `TASKS`, and
nowhere else.
"""

from typing import Any

import ml_collections

from hdc_jax.data import lanes
from hdc_jax.distributed import mesh
from hdc_jax.errors import choose
from hdc_jax.options import RunConfig, identity
from hdc_jax.tasks import (
  attentive,
  bias,
  embed,
  finetune,
  linear,
  pretrain,
  preview,
  retrieve,
  tables,
)
from hdc_jax.tasks.base import Task

__all__ = [
  "TASKS",
  "Task",
  "check_batches",
  "check_workdir",
  "resolve",
  "task_of",
]

TASKS: dict[str, Task] = {
  task.name: task
  for task in (
    pretrain.TASK,
    finetune.TASK,
    linear.TASK,
    attentive.TASK,
    retrieve.TASK,
    bias.TASK,
    embed.TASK,
    preview.TASK,
    tables.TASK,
  )
}


def task_of(config: ml_collections.ConfigDict) -> Task:
  """The task that a config names.

  Args:
    config: A config of any task.

  Raises:
    ConfigError: If there is no such task; the message lists all tasks.
  """
  return choose("config.task", config.get("task", ""), TASKS)


def check_batches(
  task: Task, config: RunConfig, devices: int, processes: int = 1
) -> None:
  """Checks that the batches of a run split evenly over devices.

  Args:
    task: The task of the run.
    config: The config of the run.
    devices: Number of devices, over all hosts.
    processes: Number of processes that these devices belong to.

  Raises:
    ConfigError: If a batch does not split evenly, or its microbatches or lanes
      do not. The message names the nearest numbers that do.
  """
  flat = identity.flatten(config.values)
  for field in task.batches:
    mesh.check_batch_size(f"config.{field}", flat[field], devices)
  if microbatches := flat.get("train.microbatches"):
    videos = flat["data.batch_size"] // devices
    mesh.check_microbatches(microbatches, videos)
  if count := flat.get("data.lanes"):
    lanes.check_processes(count, flat["data.batch_size"], processes)


def resolve(
  config: ml_collections.ConfigDict, workdir: str = ""
) -> list[tuple[Task, Any, RunConfig]]:
  """Lists the runs that a config describes, and checks their options.

  Args:
    config: A config of any task.
    workdir: Directory of the run. The runs of a table lie in it, with the
      checkpoints that they read from each other.

  Returns:
    Task, options and config of each run, in order. There is one run, except for
    `tables`.

  Raises:
    ConfigError: Naming the field that is wrong.
  """
  task = task_of(config)
  options, run_config = task.resolve(config)
  if task is not tables.TASK:
    return [(task, options, run_config)]
  jobs = [job for row in tables.plan(config, workdir) for job in row.jobs]
  return [(job.task, job.options, job.config) for job in jobs]


def check_workdir(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Checks that no directory of a run holds the run of another task.

  Args:
    config: A config of any task.
    workdir: Directory of the run, which for `tables` has the directories of
      many runs.

  Raises:
    ConfigError: If one does, as its files would be overwritten.
    StorageError: If a bucket fails.
  """
  task = task_of(config)
  task.check_workdir(workdir)
  if task is tables.TASK:
    for row in tables.plan(config, workdir):
      for job in row.jobs:
        job.task.check_workdir(job.directory)
