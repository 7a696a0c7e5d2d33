"""How the task of a config is run, by the command and by the Python API."""

from typing import Any

import jax
import ml_collections

from hdc_jax import tasks
from hdc_jax.errors import require
from hdc_jax.runtime import buckets
from hdc_jax.tasks import preflight


def check(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Checks what can be checked before devices and data are touched.

  Args:
    config: A config of any task.
    workdir: Directory of the run.

  Raises:
    ConfigError: If a field is wrong, or the directory is missing, holds the run
      of another task or cannot be used.
    StorageError: If a bucket fails.
  """
  tasks.resolve(config, workdir)
  require("--workdir", workdir, "name a directory for the run")
  buckets.check_access(workdir)
  tasks.check_workdir(config, workdir)


def execute(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Runs the task of a config that `check` has checked.

  Several processes check first that they agree, see `preflight`.

  Args:
    config: A config of any task.
    workdir: Directory of the run.

  Returns:
    The content of result.json.

  Raises:
    HdcError: One of its subclasses, see `errors`, if something is wrong.
  """
  if jax.process_count() > 1:
    print(preflight.check(config, workdir))
  return tasks.task_of(config).execute(config, workdir)
