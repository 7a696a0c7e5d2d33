"""The command line of the programs that take a config."""

import argparse
import ast
import re
from collections.abc import Iterable, Sequence
from typing import Any

import ml_collections
from absl import flags
from ml_collections import config_flags

from hdc_jax.errors import ConfigError, choose, require


def add_config(parser: argparse.ArgumentParser) -> None:
  """Adds `--config` to what a command takes and explains.

  Its fields are left over by `parse_known_args`, for `read_config`.
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
  """The config of a command line.

  Args:
    file: What `--config` names.
    fields: Arguments like `--config.optim.lr=0.05`.

  Raises:
    ConfigError: If there are others, or the file or a field is missing,
      unknown or mistyped.
  """
  argv = ["", *([f"--config={file}"] if file else []), *fields]
  values = flags.FlagValues()
  config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
  try:
    _, *others = values(argv)
  except flags.Error as error:
    # An error within a config file arrives as its whole traceback.
    text = str(error).strip().splitlines()[-1]
    raise ConfigError(
      f"{text.split('ConfigError: ')[-1]}; see --help"
    ) from error
  except (AttributeError, KeyError):
    _check_fields(argv)
    raise
  config = values.config
  require("--config", config, "name a file in configs/")
  if not isinstance(config, ml_collections.ConfigDict):
    raise ConfigError(
      f"--config: cannot read {values['config'].config_filename}"
    )
  if others:
    raise ConfigError(f"unexpected argument {others[0]!r}; see --help")
  return config


def _check_fields(argv: Sequence[str]) -> None:
  """Raises a ConfigError on `--config.field` if the config has no such field.

  The flag library knows that something is wrong, but not what there is instead.
  """
  plain = flags.FlagValues()
  config_flags.DEFINE_config_file("config", flag_values=plain, sys_argv=[])
  fields = [re.match(r"--?config\.([\w.]+)", arg) for arg in argv]
  others = [arg for arg, m in zip(argv, fields, strict=True) if not m]
  plain(others, known_only=True)
  check_fields(plain.config, (m[1] for m in fields if m))


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
