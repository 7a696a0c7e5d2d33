"""Finds and reads config files."""

import ast
import difflib
import importlib.util
import pathlib
import traceback
from typing import Any

import ml_collections

from hdc_jax.errors import ConfigError, choose

_PACKAGE = pathlib.Path(__file__).parents[1]
# Folders of this package's configs: in an installed wheel, and in a checkout.
_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")


def read(reference: str) -> ml_collections.ConfigDict:
  """Reads a config file.

  Args:
    reference: A file, or the name of one of this package's configs, with the
      arguments after a colon: 'configs/tiny.py:task=retrieve', 'r3d18'.

  Raises:
    ConfigError: If there is no such file, or if it cannot be read.
  """
  name, _, arg = reference.partition(":")
  path = find(name)
  spec = importlib.util.spec_from_file_location(path.stem, path)
  assert spec and spec.loader
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    config = module.get_config(arg)
  except ConfigError:
    raise
  except Exception as error:
    raise ConfigError(f"--config: {_where(path, error)}") from error
  if not isinstance(config, ml_collections.ConfigDict):
    raise ConfigError(f"--config: get_config of {path} returns no ConfigDict")
  return config


def find(name: str) -> pathlib.Path:
  """Finds the file that `--config` names.

  Args:
    name: A file, or the name of one of this package's configs, with or without
      'configs/' and '.py'.

  Raises:
    ConfigError: If there is no such file.
  """
  path = pathlib.Path(name)
  try:
    if path.is_file():
      return path
    for folder in _FOLDERS:
      packaged = (folder / path.name).with_suffix(".py")
      if path.parent.name in ("", "configs") and packaged.is_file():
        return packaged
  except (OSError, ValueError) as error:  # what is no name of a file
    raise ConfigError(f"--config={name[:80]!r}: {error}") from error
  names = packaged_names()
  near = difflib.get_close_matches(path.stem, names, n=1)
  hint = f"; did you mean {near[0]}?" if near else ""
  raise ConfigError(
    f"--config={name}: there is no such file; configs of the package are "
    f"{', '.join(names)}{hint}"
  )


def packaged_names() -> list[str]:
  """The names of this package's configs."""
  return sorted(
    path.stem
    for folder in _FOLDERS
    for path in folder.glob("*.py")
    if path.stem != "__init__"
  )


def _where(path: pathlib.Path, error: Exception) -> str:
  """The message for an error in a config file: one line with its place."""
  line = getattr(error, "lineno", None)
  for frame in traceback.extract_tb(error.__traceback__):
    if frame.filename == str(path):
      line = frame.lineno
  place = f"{path}, line {line}" if line else str(path)
  return f"{place}: {type(error).__name__}: {' '.join(str(error).split())}"


def parse_arg(arg: str, **defaults: Any) -> dict[str, Any]:
  """Parses what follows the colon in `--config=configs/tiny.py:task=retrieve`.

  Args:
    arg: Comma-separated `name=value`; a bare `name` means `name=True`.
    **defaults: Default of every argument that the config takes. A value must
      have the type of the default.

  Returns:
    The values of all arguments, by name.

  Raises:
    ConfigError: If an argument is unknown or mistyped.

  Example:
    >>> parse_arg("task=retrieve", task="pretrain", method="hdc")
    {'task': 'retrieve', 'method': 'hdc'}
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
      raise ConfigError(
        f"config argument {name}={text!r} must have the type of {like!r}"
      )
    values[name] = value
  return values
