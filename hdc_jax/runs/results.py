"""The config and the result of a run: config.json and result.json."""

import contextlib
import importlib.metadata
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from etils import epath

from hdc_jax.errors import DataError, StorageError
from hdc_jax.runtime import files

_log = logging.getLogger(__name__)

RESULT, CONFIG, CHECKPOINTS = "result.json", "config.json", "checkpoints"
# The entry of a result that lists the videos that it leaves out, as they cannot
# be decoded: the `video`, a record number, and the `reason` of each.
LEFT_OUT = "left_out"
# The packages whose versions a result names.
_VERSIONED = ("hdc-jax", "jax", "jaxlib", "flax", "optax", "grain", "av")


def versions() -> dict[str, str]:
  """The versions of this package and of those that its results depend on."""
  return {name: importlib.metadata.version(name) for name in _VERSIONED}


@contextlib.contextmanager
def only_warning(name: str) -> Iterator[None]:
  """Warns if a file cannot be written that a training can do without.

  Args:
    name: Name of the file, for the warning.
  """
  try:
    yield
  except (OSError, StorageError) as error:
    _log.warning("%s is not written: %s", name, error)


def write_config(workdir: epath.PathLike, config: Mapping[str, Any]) -> None:
  """Writes config.json, on process 0.

  Args:
    workdir: Directory of the run.
    config: Values of all fields, by section.
  """
  _write(workdir, CONFIG, config)


def read_config(workdir: epath.PathLike) -> dict[str, Any]:
  """Reads the config.json of a run; returns {} if there is none.

  Raises:
    DataError: If it is damaged.
  """
  return read_object(epath.Path(workdir) / CONFIG)


def write_result(
  workdir: epath.PathLike, result: Mapping[str, Any]
) -> dict[str, Any]:
  """Writes result.json, with the device and the versions, on process 0.

  Args:
    workdir: Directory of the run.
    result: The result of the task, of JSON types.

  Returns:
    The content of the file.
  """
  devices = jax.devices()
  result = dict(result) | {
    "device": f"{len(devices)} × {devices[0].device_kind}",
    "versions": versions(),
  }
  _write(workdir, RESULT, result)
  return result


def read_owner(workdir: epath.PathLike) -> str:
  """The name of the task whose run a directory holds; '' if it holds none.

  Args:
    workdir: Directory of a run, or any other.

  Raises:
    DataError: If its config.json or result.json is damaged.
  """
  for read in (read_config, read_result):
    task = read(workdir).get("task")
    if task:
      return task
  # An imported encoder, or a pretraining that has lost its config.
  has_checkpoints = files.exists(epath.Path(workdir) / CHECKPOINTS)
  return "pretrain" if has_checkpoints else ""


def read_result(workdir: epath.PathLike) -> dict[str, Any]:
  """Reads the result.json of a run; returns {} if there is none.

  Raises:
    DataError: If it is damaged.
  """
  return read_object(epath.Path(workdir) / RESULT)


def _write(workdir: epath.PathLike, name: str, value: Any) -> None:
  """Writes a file whole or not at all, on process 0."""
  if jax.process_index() == 0:
    text = json.dumps(value, indent=2) + "\n"
    files.write(epath.Path(workdir) / name, text.encode())


def read_object(path: epath.Path) -> dict[str, Any]:
  """Reads a JSON object from a file of a run; returns {} if there is none.

  Args:
    path: Path of the file.

  Raises:
    DataError: If the file holds something else; names it.
  """
  if not files.exists(path):
    return {}
  try:
    value = json.loads(files.read_text(path))
    if isinstance(value, dict):
      return value
    reason = "it is no JSON object"
  except (
    ValueError,
    RecursionError,
  ) as error:  # also of bytes that are no text
    reason = str(error) or "it is nested too deeply"
  raise DataError(f"{path} is damaged: {reason}: remove it, and run again")
