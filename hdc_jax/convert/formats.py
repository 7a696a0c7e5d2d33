"""Files of weights: .safetensors, and PyTorch's by `torch_files`."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import safetensors
import safetensors.numpy

from hdc_jax.errors import ConfigError, DataError, HdcError, choose

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

  def write_verified(
    self, path: pathlib.Path, arrays: Arrays, texts: Texts
  ) -> None:
    """Writes a file and reads it back.

    Args:
      path: The file.
      arrays: Arrays by name.
      texts: Texts by name.

    Raises:
      HdcError: If the file does not hold the same, bit for bit.
    """
    self.write(path, arrays, texts)
    found, said = self.read(str(path))
    for name in sorted(arrays.keys() | found.keys()):
      if not _same(found.get(name), arrays.get(name)):
        raise HdcError(
          f"{path} is not written: {name} is read back as something else. "
          "Please report it"
        )
    if dict(said) != dict(texts):
      raise HdcError(
        f"{path} is not written: its texts are read back as {said}"
      )


def of(path: str, others: Sequence[str] = ()) -> Format:
  """The format of the files that have a path's extension.

  Args:
    path: Path of a file.
    others: Extensions that the caller knows besides, for the error.

  Raises:
    ConfigError: If there is no such format, or PyTorch is missing.
  """
  suffix = pathlib.Path(path).suffix
  choose(f"extension of {path}", suffix, (_SAFETENSORS, *_TORCH, *others))
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


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
  """Whether two arrays are there, and have the same bits."""
  if one is None or other is None:
    return False
  alike = one.shape == other.shape and one.dtype == other.dtype
  return alike and one.tobytes() == other.tobytes()


def _read_safetensors(path: str) -> tuple[Arrays, Texts]:
  try:
    with safetensors.safe_open(path, "np") as file:
      texts = file.metadata() or {}
    return safetensors.numpy.load_file(path), texts
  except Exception as error:  # a damaged file raises anything
    raise DataError(f"{path} cannot be read: {error}") from error


def _write_safetensors(
  path: pathlib.Path, arrays: Arrays, texts: Texts
) -> None:
  # Not `save_file`, which lets the owner alone read the file.
  path.write_bytes(safetensors.numpy.save(dict(arrays), dict(texts)))
