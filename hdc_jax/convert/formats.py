"""Files of weights: .safetensors, and PyTorch's by `torch_files`."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import numpy as np
import safetensors
import safetensors.numpy

from hdc_jax.errors import ConfigError, DataError, choose

Arrays = Mapping[str, np.ndarray]
Texts = Mapping[str, str]

_TORCH = (".pt", ".pth", ".tar")
_SAFETENSORS = ".safetensors"


@dataclasses.dataclass(frozen=True)
class Format:
  """A format of files of weights.

  Attributes:
    read: From the path of a file to its arrays and the texts beside them, both
      by name.
    write: From a path, arrays and texts to a file.
  """

  read: Callable[[str], tuple[Arrays, Texts]]
  write: Callable[[pathlib.Path, Arrays, Texts], None]


def of(path: str) -> Format:
  """The format of the files that have a path's extension.

  Raises:
    ConfigError: If there is no such format, or PyTorch is missing.
  """
  suffix = pathlib.Path(path).suffix
  choose(f"extension of {path}", suffix, (_SAFETENSORS, *_TORCH))
  if suffix == _SAFETENSORS:
    return Format(_read_safetensors, _write_safetensors)
  try:
    from hdc_jax.convert import torch_files
  except ImportError as error:
    raise ConfigError(
      f"{path}: PyTorch 2.6 or later is needed for {suffix} files: "
      "pip install torch, or use .safetensors"
    ) from error
  return Format(torch_files.read, torch_files.write)


def _read_safetensors(path: str) -> tuple[Arrays, Texts]:
  try:
    with safetensors.safe_open(path, "np") as file:
      texts = file.metadata() or {}
    return safetensors.numpy.load_file(path), texts
  except (OSError, safetensors.SafetensorError) as error:
    raise DataError(f"{path} cannot be read: {error}") from error


def _write_safetensors(
  path: pathlib.Path, arrays: Arrays, texts: Texts
) -> None:
  # Not `save_file`, which lets the owner alone read the file.
  path.write_bytes(safetensors.numpy.save(dict(arrays), dict(texts)))
