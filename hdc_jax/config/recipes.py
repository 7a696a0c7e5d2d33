"""Configs by task and method, with the recipes of the papers.

A config file in configs/ returns `default()` with what it changes. `default`
names every field there is, so a field that it does not name is an error.
"""

import copy
from collections.abc import Mapping
from typing import Any

import ml_collections

from hdc_jax.config import fields
from hdc_jax.errors import choose


def default(
  task: str = "pretrain",
  method: str = "hdc",
  changes: Mapping[str, Any] | None = None,
) -> ml_collections.ConfigDict:
  """The fields that every config has, with the recipe of the papers.

  Args:
    task: One of `hdc_jax.main.TASKS`.
    method: One of `hdc_jax.methods.METHODS`, whose networks to make.
    changes: Of the method's recipe for pretraining, by dotted field.

  Raises:
    ConfigError: If there is no such task or method.
  """
  config = ml_collections.ConfigDict(copy.deepcopy(fields.FIELDS))
  config.task, config.method.name = task, method
  recipe = choose("method.name", method, fields.METHODS) | (changes or {})
  shared = ("data.", "model.") if task not in ("pretrain", "preview") else ("",)
  config.update_from_flattened_dict(
    {k: v for k, v in recipe.items() if k.startswith(shared)}
  )
  config.update_from_flattened_dict(choose("config.task", task, fields.TASKS))
  return config
