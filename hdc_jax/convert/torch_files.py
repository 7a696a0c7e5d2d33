"""PyTorch's own files: .pt, .pth and .pth.tar."""

import os
import re
from collections.abc import Mapping

import numpy as np
import torch

from hdc_jax.errors import DataError

# What wraps a published encoder: DataParallel, and order prediction's network.
_WRAPPERS = re.compile(r"^(module\.|base_network\.)+")


def read(
  path: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
  """Reads a state dict, also one that is nested under 'state_dict'.

  Args:
    path: What torch.save wrote; nothing in it but data is loaded.

  Returns:
    Arrays by name, floats as float32 and without the wrappers' prefixes; and
    the texts that are next to the state dict.

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
  """Writes arrays under 'state_dict', and texts next to it."""
  state_dict = {name: torch.tensor(array) for name, array in arrays.items()}
  torch.save({**metadata, "state_dict": state_dict}, path)


def _to_array(tensor: torch.Tensor) -> np.ndarray:
  tensor = tensor.detach()
  return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
