"""Files of PyTorch: .pt, .pth and .pth.tar."""

import os
import re
from collections.abc import Mapping

import numpy as np
import torch

from hdc_jax.errors import DataError

# Prefixes of published encoders: of DataParallel, and of the network around an
# encoder that was trained to predict the order of clips.
_WRAPPERS = re.compile(r"^(module\.|base_network\.)+")


def read(
  path: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
  """Reads a state dict, also one that is nested under 'state_dict'.

  Args:
    path: Path of a file that torch.save wrote. Only data is loaded from it, no
      code.

  Returns:
    The arrays by name, without the prefixes of wrappers and with float32 in
    place of other floats; and the texts that are beside the state dict.

  Raises:
    DataError: If the file cannot be read or holds no state dict.
  """
  try:
    saved = torch.load(path, map_location="cpu", weights_only=True)
  except Exception as error:  # a damaged file raises anything
    reason = (str(error) or repr(error)).splitlines()[0]
    raise DataError(
      f"{path} cannot be read (only data is, no code): {reason}"
    ) from error
  outer = saved if isinstance(saved, Mapping) else {}
  inner = outer.get("state_dict", outer)
  arrays = {
    _WRAPPERS.sub("", name): _to_array(value)
    for name, value in inner.items()
    if isinstance(value, torch.Tensor)
  }
  if not arrays:
    raise DataError(f"{path} holds no state dict")
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


def _to_array(tensor: torch.Tensor) -> np.ndarray:
  tensor = tensor.detach()
  return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
