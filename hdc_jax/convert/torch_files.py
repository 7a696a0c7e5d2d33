"""Files of PyTorch: .pt, .pth and .pth.tar."""

import _compat_pickle
import os
import pathlib
import pickletools
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.serialization import safe_globals

from hdc_jax.errors import DataError

if torch.__version__ < (2, 6):  # Files could run code; see CVE-2025-32434.
  raise ImportError("PyTorch is older than 2.6")

# Names under which training programs store the weights, among other things.
_NESTED = ("state_dict", "model_state_dict", "model_state", "model", "net")
# Pickles before that of the saved object, in files of PyTorch before 1.6.
_LEGACY_HEADER = 3
# Full names of the classes and functions that tensors are stored with.
_OF_TENSORS = re.compile(
  r"torch\._utils\.|torch\.\w+Storage|collections\.OrderedDict"
)
# Bytes that the archive may unpack to for each of its own; torch.save does not
# compress.
_MOST_UNPACKED = 8
_SHOWN = 6  # number of entries that an error lists


class _Opaque:
  """Stands for an object of a class that is not read; runs none of its code.

  Attributes:
    state: What was stored of the object; None if nothing was.
  """

  state: Any = None

  def __new__(cls, *_: object) -> "_Opaque":
    """Drops the arguments that the class itself would get."""
    return super().__new__(cls)

  def __init__(self, *_: object) -> None:
    """Drops the arguments that the class itself would get."""

  def __setstate__(self, state: Any) -> None:
    """Keeps what was stored of the object."""
    self.state = state


def read(
  path: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
  """Reads a state dict, also one that is nested, as under 'state_dict'.

  Only data is loaded, no code. Objects beside the weights, such as the options
  of a training program or scalars of NumPy, are passed over.

  Args:
    path: Path of a file that torch.save wrote.

  Returns:
    The arrays by name, with float32 in place of other floats; and the texts
    that are beside the state dict.

  Raises:
    DataError: If the file cannot be read, or holds no state dict, several, or
      a whole module.
  """
  path = os.fspath(path)
  saved = _load(path)
  outer = saved if isinstance(saved, Mapping) else {}
  try:
    state_dict = _find_state_dict(path, saved)
  except RecursionError as error:
    raise DataError(f"{path} holds dicts within dicts without end") from error
  arrays = {
    name: _to_array(path, name, value)
    for name, value in state_dict.items()
    if isinstance(value, torch.Tensor)
  }
  return arrays, {k: v for k, v in outer.items() if isinstance(v, str)}


def write(
  path: str | os.PathLike[str],
  arrays: Mapping[str, np.ndarray],
  metadata: Mapping[str, str],
) -> None:
  """Writes a file that torch.load reads.

  Args:
    path: Path of the file.
    arrays: Weights by name; the file has them under 'state_dict'.
    metadata: Texts by name, which the file has beside them.
  """
  state_dict = {name: torch.tensor(array) for name, array in arrays.items()}
  torch.save({**metadata, "state_dict": state_dict}, path)


def _load(path: str) -> Any:
  """Loads what a file holds, with `_Opaque` for what is no data.

  Raises:
    DataError: If the file cannot be read.
  """
  names: set[str] = set()
  try:
    names = _class_names(path)
    stand_ins = [(type(name, (_Opaque,), {}), name) for name in sorted(names)]
    # PyTorch looks into its own list of harmless names first, then into ours.
    with safe_globals(stand_ins):
      return torch.load(path, map_location="cpu", weights_only=True)
  except OSError as error:
    raise DataError(f"{path} cannot be read: {error.strerror}") from error
  except _TorchScriptError as error:
    raise DataError(
      f"{path} holds a whole program of TorchScript: save its weights alone, "
      + _remedy(path, "torch.jit.load({file}).state_dict()")
    ) from error
  except Exception as error:  # a damaged file raises anything
    others = sorted(name for name in names if not _OF_TENSORS.match(name))
    if not others:
      raise DataError(
        f"{path} cannot be read: it is cut off, damaged or no file of "
        "torch.save: get it again"
      ) from error
    raise DataError(
      f"{path} cannot be read: it is cut off, or holds objects beside weights "
      f"({_listed(others)}): save the weights alone where their code is, "
      "torch.save(model.state_dict(), 'weights.pt')"
    ) from error


class _TorchScriptError(Exception):
  """A file is an archive of TorchScript."""


def _class_names(path: str) -> set[str]:
  """The full names of classes and functions that a file's object refers to."""
  if not zipfile.is_zipfile(path):
    with open(path, "rb") as file:
      for _ in range(_LEGACY_HEADER):
        set(_global_names(file))
      return set(_global_names(file))
  with zipfile.ZipFile(path) as archive:
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > _MOST_UNPACKED * os.path.getsize(path):
      raise zipfile.BadZipFile("its members claim to be larger than it is")
    members = archive.namelist()
    if any(pathlib.PurePath(m).name == "constants.pkl" for m in members):
      raise _TorchScriptError
    (pickled,) = (m for m in members if pathlib.PurePath(m).name == "data.pkl")
    with archive.open(pickled) as file:
      return set(_global_names(file))


def _global_names(file: Any) -> Iterator[str]:
  """Yields the names in one pickle, by their names in Python 3."""
  for opcode, argument, _ in pickletools.genops(file):
    if opcode.name == "GLOBAL":
      module, name = str(argument).split(" ")
      default = _compat_pickle.IMPORT_MAPPING.get(module, module), name
      renamed = _compat_pickle.NAME_MAPPING.get((module, name), default)
      yield ".".join(renamed)


def _find_state_dict(path: str, saved: Any) -> Mapping[str, Any]:
  """Finds the state dict in what a file holds.

  Args:
    path: Path of the file, for errors.
    saved: What the file holds.

  Raises:
    DataError: If there is none, more than one, or a whole module.
  """
  found = dict(_state_dicts(saved))
  known = [f"[{key!r}]" for key in _NESTED if f"[{key!r}]" in found]
  places = known[:1] or list(found)
  if len(places) == 1:
    return found[places[0]]
  if places:
    raise DataError(
      f"{path} holds several state dicts, at {_listed(places)}: save one of "
      "them alone, " + _remedy(path, "{load}" + places[0])
    )
  for place, name in _modules(saved):
    raise DataError(
      f"{path} holds a whole {name}, not its weights alone: save these where "
      "its code is, " + _remedy(path, "{load}" + place + ".state_dict()")
    )
  raise DataError(
    f"{path} holds no state dict, but {_described(saved)}: save the weights "
    "alone: torch.save(model.state_dict(), 'weights.pt')"
  )


def _state_dicts(
  value: Any, place: str = ""
) -> Iterator[tuple[str, Mapping[str, Any]]]:
  """Yields each innermost dict that has tensors by name.

  Yields:
    Its place as Python writes it, such as "['model']"; and the dict.
  """
  if not isinstance(value, Mapping):
    return
  named = {key: item for key, item in value.items() if isinstance(key, str)}
  inner = [
    found
    for key, item in named.items()
    for found in _state_dicts(item, f"{place}[{key!r}]")
  ]
  yield from inner
  tensors = any(isinstance(item, torch.Tensor) for item in named.values())
  if tensors and not inner:
    yield place, value


def _modules(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
  """Yields the place and the class of each module."""
  if isinstance(value, Mapping):
    for key, item in value.items():
      yield from _modules(item, f"{place}[{key!r}]")
  elif isinstance(value, _Opaque):
    state = value.state
    if isinstance(state, Mapping) and "_parameters" in state:
      yield place, f"module {type(value).__name__}"


def _described(saved: Any) -> str:
  """What a file holds, in words."""
  if isinstance(saved, Mapping):
    return f"a dict with {_listed(map(repr, saved))}" if saved else "no entry"
  return f"an object of type {type(saved).__name__}"


def _listed(names: Iterable[str]) -> str:
  """The first of some names."""
  first = list(names)
  return ", ".join(first[:_SHOWN]) + (", …" if len(first) > _SHOWN else "")


def _remedy(path: str, expression: str) -> str:
  """The Python that saves weights alone.

  Args:
    path: Path of the file.
    expression: The weights in Python, with `{load}` for what the file holds, or
      `{file}` for its name.
  """
  name = repr(os.path.basename(path))
  load = f"torch.load({name}, weights_only=False)"
  weights = expression.replace("{load}", load).replace("{file}", name)
  return f"if you trust the file: torch.save({weights}, 'weights.pt')"


def _to_array(path: str, name: object, tensor: torch.Tensor) -> np.ndarray:
  """The array of a tensor.

  Raises:
    DataError: If it is no plain array, or shows more than the file holds.
  """
  tensor = tensor.detach()
  try:
    stored = tensor.untyped_storage().nbytes()
    if tensor.numel() * tensor.element_size() > stored:
      raise ValueError(f"it shows {tensor.numel()} values of {stored} bytes")
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
  except Exception as error:  # of sparse, quantized and other kinds of tensors
    raise DataError(
      f"{path}: the tensor {name!r} is no plain array: {error}"
    ) from error
