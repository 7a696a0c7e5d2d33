"""An encoder as a file of ONNX, made from its twin in PyTorch."""

import contextlib
import logging
import pathlib
import warnings
from collections.abc import Iterator

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from hdc_jax.convert import layouts
from hdc_jax.convert.outputs import NAMES, Outputs
from hdc_jax.evaluate.encoder import Encoder
from hdc_jax.interop.encoders import ENCODERS


class _Program(nn.Module):
  """An encoder whose outputs are a tuple: features, and the endpoints."""

  def __init__(self, encoder: nn.Module) -> None:
    super().__init__()
    self.encoder = encoder

  def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
    """Encodes clips [B, 3, T, H, W]; the order of the outputs is `NAMES`."""
    endpoints = tuple(self.encoder(clips).values())
    return (endpoints[-1].mean(dim=(2, 3, 4)), *endpoints)


def write(path: pathlib.Path, encoder: Encoder) -> None:
  """Writes an encoder with its weights, for any number of clips.

  Args:
    path: The file.
    encoder: The encoder. Its activations are float32 in the file.
  """
  backbone = encoder.backbone
  options = backbone.architecture()
  twin = ENCODERS[options.pop("name")](**options)
  arrays = layouts.to_torch(encoder.variables, layouts.of(backbone.name)[0])
  twin.load_state_dict(
    {name: torch.tensor(array) for name, array in arrays.items()}
  )
  size = backbone.size
  with _quiet():
    torch.onnx.export(
      _Program(twin).eval(),
      (torch.zeros(2, 3, encoder.clips.frames, size, size),),
      path,
      input_names=["clips"],
      output_names=list(NAMES),
      dynamic_shapes=({0: torch.export.Dim("batch")},),
      dynamo=True,
      external_data=False,
      verbose=False,
    )


def run(path: pathlib.Path, clips: np.ndarray) -> Outputs:
  """Runs the program of a file by onnxruntime, on the CPU.

  Args:
    path: The file.
    clips: RGB in [-1, 1], float32 [B, T, S, S, 3].

  Returns:
    The outputs, with the axes of `outputs.Outputs`.
  """
  session = onnxruntime.InferenceSession(
    path, providers=["CPUExecutionProvider"]
  )
  found = session.run(None, {"clips": np.moveaxis(clips, -1, 1)})
  return {
    name: np.moveaxis(np.asarray(array), 1, -1)
    for name, array in zip(NAMES, found, strict=True)
  }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Keeps to itself what PyTorch's exporter says of its own libraries."""
  logger = logging.getLogger("torch.onnx")
  level = logger.level
  logger.setLevel(logging.ERROR)
  try:
    with warnings.catch_warnings(action="ignore"):
      yield
  finally:
    logger.setLevel(level)
