"""The default config of each task and method, with the papers' recipes."""

from collections.abc import Mapping
from typing import Any

import ml_collections

from hdc_jax.errors import choose
from hdc_jax.methods import METHODS
from hdc_jax.options.schema import nest
from hdc_jax.tasks import TASKS

# The tasks that have a method. Other tasks take from the recipe of a method
# only the sections below, which describe the network and its clips.
_BY_METHOD = ("pretrain", "preview")
_NETWORK = ("data.", "model.")


def default(
  task: str = "pretrain",
  method: str = "hdc",
  recipe: Mapping[str, Any] | None = None,
  changes: Mapping[str, Any] | None = None,
) -> ml_collections.ConfigDict:
  """Makes the config of a task, with the recipe of the papers.

  The config has the fields that have an effect with this task and method, and
  no others.

  Args:
    task: Name of a task, see `tasks.TASKS`.
    method: Name of the method that trains the network, or has trained it, see
      `methods.METHODS`.
    recipe: Values of fields that change the method's recipe for pretraining, by
      dotted field.
    changes: Values of fields, by dotted field, which override recipes. Tasks
      and methods that do not have a field ignore it.

  Raises:
    ConfigError: If there is no such task, method or field.

  Example:
    >>> default("retrieve", changes={"model.name": "c3d"}).model.name
    'c3d'
  """
  record = choose("config.task", task, TASKS)
  paper = choose("config.method.name", method, METHODS).recipe
  by_method = {"method.name": method} | dict(paper) | dict(recipe or {})
  if task not in _BY_METHOD:
    by_method = {
      field: value
      for field, value in by_method.items()
      if field.startswith(_NETWORK)
    }
  for field in (*(recipe or {}), *(changes or {})):
    _check_known(field)
  values = by_method | dict(record.recipe) | dict(changes or {})
  fitted = record.schema.fit({"task": task} | nest(values))
  return ml_collections.ConfigDict(fitted)


def _check_known(field: str) -> None:
  """Raises ConfigError if no task or method has the field."""
  known = {
    ".".join(path) for task in TASKS.values() for path in task.schema.known()
  }
  choose("config field", field, sorted(known))
