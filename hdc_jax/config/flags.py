"""The command line of the programs that read a config."""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_flags

from hdc_jax.config import files
from hdc_jax.errors import ConfigError, choose, require
from hdc_jax.methods import METHODS
from hdc_jax.options.schema import Path, leaves
from hdc_jax.tasks import TASKS, task_of


def add_config(parser: argparse.ArgumentParser) -> None:
  """Adds `--config` to a parser.

  The parser does not know the arguments that set fields of the config:
  `parse_known_args` returns them, and `read_config` takes them.

  Args:
    parser: The parser.
  """
  parser.add_argument(
    "--config",
    metavar="FILE",
    default="",
    help="config file, with its arguments after a colon: "
    "configs/tiny.py:task=retrieve; any field of it can be set: "
    "--config.data.path=DIR",
  )


def read_config(file: str, fields: Sequence[str]) -> ml_collections.ConfigDict:
  """Reads the config of a command line.

  Args:
    file: Value of `--config`.
    fields: Arguments like `--config.optim.lr=0.05`.

  Returns:
    The config, with all fields of the backbone, method and so on that it names.

  Raises:
    ConfigError: If the file is missing or wrong, if a field is unknown or its
      value has another type, or if there are other arguments.
  """
  require("--config", file, "name a file in configs/")
  config = files.read(file)
  schema = task_of(config).schema
  given = _split(fields)
  # First come the fields that decide which other fields the config has.
  selectors = schema.selectors()
  deciding = [(p, arg) for p, arg in given if p in selectors]
  for path, _ in deciding:
    schema.check_field(path, config.to_dict())
  config = _set(config, deciding)
  config = ml_collections.ConfigDict(schema.fit(config.to_dict()))
  others = [(p, arg) for p, arg in given if p not in selectors]
  for path, _ in given:
    schema.check_field(path, config.to_dict())
  return _set(config, others)


def arguments(fields: Mapping[str, Any]) -> list[str]:
  """The arguments that set fields of a config on a command line.

  Args:
    fields: Values by dotted name, or by section: {"optim": {"lr": 0.05}}.

  Raises:
    ConfigError: If a value is None.

  >>> arguments({"data.path": "videos", "optim": {"lr": 0.05}})
  ['--config.data.path=videos', '--config.optim.lr=0.05']
  """
  return [
    f"--config.{'.'.join(path)}={_text('.'.join(path), value)}"
    for path, value in leaves(fields)
  ]


def _text(name: str, value: Any) -> str:
  """The value of a field as the command line has it."""
  if value is None:
    raise ConfigError(f"config.{name}=None is no value: leave it out")
  if isinstance(value, (list, tuple)):
    return repr(tuple(getattr(v, "tolist", lambda v=v: v)() for v in value))
  return str(value)


def _split(fields: Sequence[str]) -> list[tuple[Path, str]]:
  """Pairs each argument like `--config.optim.lr=0.05` with its field's path."""
  given, rest = [], list(fields)
  while rest:
    argument = rest.pop(0)
    match = re.match(r"--?(?:no)?config\.([\w.]+)(=?)", argument)
    if not match:
      raise ConfigError(f"unexpected argument {argument!r}; see --help")
    if not match[2] and rest and not rest[0].startswith("-"):
      argument += f"={rest.pop(0)}"
    given.append((tuple(match[1].split(".")), argument))
  return given


def _set(
  config: ml_collections.ConfigDict, given: Sequence[tuple[Path, str]]
) -> ml_collections.ConfigDict:
  """Sets fields that a config has.

  Args:
    config: The config, which is changed.
    given: Path of each field, and its argument of the command line.

  Returns:
    The config.

  Raises:
    ConfigError: If a value has another type than the field; or if it names
      another task or method, which has another recipe.
  """
  before = config.copy_and_resolve_references()
  values = flags.FlagValues()
  arguments = ["", *(argument for _, argument in given)]
  try:
    config_flags.DEFINE_config_dict(
      "config", config, flag_values=values, sys_argv=arguments
    )
    values(arguments)
  except Exception as error:  # ml_collections raises errors of many kinds
    text = (str(error).strip() or repr(error)).splitlines()[-1]
    raise ConfigError(f"{text}; see --help") from error
  for path, _ in given:
    if path[-1] == "task" or path[-2:] == ("method", "name"):
      _check_recipe(path, before, config)
  return config


def _check_recipe(
  path: Path, before: ml_collections.ConfigDict, now: ml_collections.ConfigDict
) -> None:
  """Raises ConfigError if a field has changed on which the recipe depends.

  Args:
    path: Path of the task, or of the name of a method.
    before: The config before its fields were set.
    now: The config after that.
  """
  old, new = before, now
  for name in path:
    old, new = old[name], new[name]
  if old != new:
    field = ".".join(("config", *path))
    name, known = ("task", TASKS) if path[-1] == "task" else ("method", METHODS)
    choose(field, new, known)
    raise ConfigError(
      f"{field}={new}: write it as an argument of the config, "
      f"--config=FILE:{name}={new}, which sets its recipe too"
    )
