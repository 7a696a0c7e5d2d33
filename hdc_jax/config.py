"""Configs: defaults, arguments, clear errors, and the resolved dump.

A config file in configs/ returns `default()` with what it changes. `default`
names every field there is, so a field that it does not name is an error.
"""

import ast
import copy
import difflib
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import ml_collections

from hdc_jax import fields
from hdc_jax.errors import ConfigError

# What decides a run's results, and may not change when it is resumed.
DECISIVE = (
  "seed",
  "checkpoint",
  "data.batch_size",
  "data.canvas",
  "data.frames",
  "data.split",
  "data.stride",
  "augment",
  "model",
  "method",
  "optim",
  "finetune",
  "subset",
)

# What makes two backbones of one architecture, so that one's weights fit the
# other.
ARCHITECTURE = tuple(
  f"model.{field}"
  for field in ("name", "width", "norm", "stem", "shortcut", "stem_pool")
)


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


def parse_arg(arg: str, **defaults: Any) -> dict[str, Any]:
  """Parses what follows the colon in `--config=configs/tiny.py:task=retrieve`.

  Args:
    arg: Comma-separated `name=value`; a bare `name` means `name=True`.
    **defaults: The arguments a config takes, each with its default, whose type
      the value must have.

  Raises:
    ConfigError: If an argument is unknown or mistyped.
  """
  values = dict(defaults)
  for item in filter(None, arg.split(",")):
    name, _, text = item.partition("=")
    like = choose("config argument", name, defaults)
    try:
      value = (
        text if isinstance(like, str) else ast.literal_eval(text or "True")
      )
    except (ValueError, SyntaxError):
      value = None
    if type(value) is not type(like):
      raise ConfigError(f"config argument {name}={text!r} is not like {like!r}")
    values[name] = value
  return values


def check_fields(
  config: ml_collections.ConfigDict, fields: Iterable[str]
) -> None:
  """Checks that every dotted field exists.

  Raises:
    ConfigError: Naming the first that does not, those there are, and the
      nearest one.
  """
  for field in fields:
    section, path = config, "config"
    for name in field.split("."):
      if not isinstance(section, ml_collections.ConfigDict):
        raise ConfigError(f"{path} is a value, it has no field {name!r}")
      section, path = choose(path, name, section), f"{path}.{name}"


def choose(field: str, name: Any, choices: Collection[Any]) -> Any:
  """The choice called `name`: its value in a mapping, else itself.

  Raises:
    ConfigError: If it is none of the choices, listing them.
  """
  if name in choices:
    indexed = isinstance(choices, Mapping | ml_collections.ConfigDict)
    return choices[name] if indexed else name
  near = difflib.get_close_matches(str(name), map(str, choices), n=1)
  hint = f"; did you mean {near[0]!r}?" if near else ""
  raise ConfigError(
    f"{field}: {name!r} is not one of {', '.join(map(str, choices))}{hint}"
  )


def require(field: str, value: Any, remedy: str) -> None:
  """Raises `ConfigError` if the value of `field` is empty or zero."""
  if not value:
    raise ConfigError(f"{field} is not set: {remedy}")


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """All fields by dotted name, as JSON has them (lists for tuples)."""
  flat = {}
  for name, value in config.items():
    if isinstance(value, Mapping | ml_collections.ConfigDict):
      flat |= flatten(value, f"{prefix}{name}.")
    else:
      listed = isinstance(value, tuple)
      flat[prefix + name] = list(value) if listed else value
  return flat


def fingerprint(config: ml_collections.ConfigDict) -> str:
  """A hash of the resolved config."""
  text = json.dumps(flatten(config), sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def from_json(saved: Mapping[str, Any]) -> ml_collections.ConfigDict:
  """A config that went through JSON, with its tuples again."""

  def restore(value: Any) -> Any:
    if isinstance(value, Mapping):
      return {name: restore(item) for name, item in value.items()}
    return tuple(value) if isinstance(value, list) else value

  return ml_collections.ConfigDict(restore(saved))


def check_same(
  config: ml_collections.ConfigDict,
  saved: ml_collections.ConfigDict,
  sections: Collection[str],
  run: str,
) -> None:
  """Checks that fields are as they were when a run was begun.

  Args:
    config: As it is now.
    saved: As it was.
    sections: Fields and sections, dotted, that must agree.
    run: Where the saved one is from, for the message.

  Raises:
    ConfigError: Naming the first field that differs.
  """
  now, then = flatten(config), flatten(saved)
  for field in sorted(now.keys() | then.keys()):
    decisive = any(f"{field}.".startswith(f"{s}.") for s in sections)
    if decisive and now.get(field) != then.get(field):
      raise ConfigError(
        f"config.{field} is {now.get(field)!r}, but the run in {run} has "
        f"{then.get(field)!r}: use the same value, or another run"
      )
