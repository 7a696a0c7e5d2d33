"""Files of programs: an encoder, weights and all, that runs without hdc_jax.

Beside each, FILE.json says what the program takes and returns.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any, Protocol

import jax
import numpy as np

from hdc_jax.convert import exported
from hdc_jax.convert.outputs import NAMES, Outputs, make_outputs
from hdc_jax.data.clips.single import SingleVideos
from hdc_jax.data.options import Clips
from hdc_jax.errors import ConfigError, HdcError
from hdc_jax.evaluate.encoder import Encoder
from hdc_jax.evaluate.pretrained import Pretrained
from hdc_jax.runs import results
from hdc_jax.runtime import files

_CHECKED_CLIPS = 3


class Files(Protocol):
  """A module that writes and runs files of one format."""

  def write(self, path: pathlib.Path, encoder: Encoder) -> None:
    """Writes an encoder."""

  def run(self, path: pathlib.Path, clips: np.ndarray) -> Outputs:
    """Runs a file, for clips float32 [B, T, S, S, 3] in [-1, 1]."""
    ...


@dataclasses.dataclass(frozen=True)
class Program:
  """A format of files of programs.

  Attributes:
    name: Name of the format.
    load: Imports the module of the format.
    channels_first: Whether clips and endpoints are [B, C, T, H, W], as in
      PyTorch, instead of [B, T, H, W, C].
    tolerance: Largest difference between the outputs of the program and those
      of hdc_jax, as a share of the length of an output, by the dtype of the
      activations; a dtype that is missing becomes float32 in the file.
    precision: Precision of products in hdc_jax for the comparison; None for
      that of the device, which on GPU and TPU is less than float32.
  """

  name: str
  load: Callable[[], Files]
  channels_first: bool
  tolerance: dict[str, float]
  precision: str | None = None


def _load_stablehlo() -> Files:
  from hdc_jax.convert import stablehlo

  return stablehlo


def _load_onnx() -> Files:
  try:
    from hdc_jax.convert import onnx_files
  except ImportError as error:
    raise ConfigError(
      "ONNX is written with PyTorch 2.6 or later and checked with onnxruntime: "
      f"pip install torch onnx onnxruntime onnxscript ({error})"
    ) from error
  return onnx_files


# Extension → format. ONNX is less accurate, as other code computes it.
PROGRAMS = {
  ".stablehlo": Program(
    "StableHLO", _load_stablehlo, False, {"float32": 1e-5, "bfloat16": 1e-2}
  ),
  ".onnx": Program("ONNX", _load_onnx, True, {"float32": 1e-4}, "highest"),
}


def write(loaded: Pretrained, output: str) -> float:
  """Writes an encoder as a program, and runs what it wrote.

  Args:
    loaded: The encoder, with its variables as NumPy arrays.
    output: The file, whose extension is in `PROGRAMS`. It exists only if its
      outputs for random clips are those of the encoder in hdc_jax. Beside it is
      `output`.json.

  Returns:
    The largest difference of an output, as a share of its length.

  Raises:
    ConfigError: If packages are missing.
    HdcError: If the outputs differ.
  """
  program = PROGRAMS[pathlib.Path(output).suffix]
  format_ = program.load()
  encoder = _make_encoder(loaded, program)
  frames, size = encoder.clips.frames, encoder.backbone.size
  clips = np.random.default_rng(0).uniform(
    -1, 1, (_CHECKED_CLIPS, frames, size, size, 3)
  )
  clips = clips.astype(np.float32)
  with jax.default_matmul_precision(program.precision):
    compute = jax.jit(make_outputs(encoder.backbone))
    expected = jax.device_get(compute(encoder.variables, clips))
  with files.writing(output) as partial:
    path = pathlib.Path(partial)
    format_.write(path, encoder)
    found = format_.run(path, clips)
    largest = float(
      np.max([_difference(found[name], expected[name]) for name in NAMES])
    )
    if not largest <= program.tolerance[encoder.backbone.dtype]:
      raise HdcError(
        f"{output} is not written: its outputs differ from those of "
        f"{loaded.name} by {largest:.1e} of their length. Please report it"
      )
    described = _describe(program, loaded, encoder, expected)
    files.write_json(f"{output}.json", described | {"difference": largest})
  return largest


def _make_encoder(loaded: Pretrained, program: Program) -> Encoder:
  """The encoder, with activations of a dtype that the program can have."""
  backbone = loaded.backbone
  if backbone.dtype not in program.tolerance:
    backbone = dataclasses.replace(backbone, dtype="float32")
  clips = Clips.from_values(loaded.config["data"])
  return Encoder(backbone, loaded.variables, clips)


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
  """Length of the difference as a share of that of what is expected."""
  found, expected = (x.astype(np.float64) for x in (found, expected))
  with np.errstate(invalid="ignore"):  # infinities, which are a difference
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def _describe(
  program: Program, loaded: Pretrained, encoder: Encoder, outputs: Outputs
) -> dict[str, Any]:
  """What FILE.json says, but for the difference.

  Args:
    program: The format.
    loaded: The run.
    encoder: The encoder that is written.
    outputs: Arrays of its outputs.
  """
  backbone, clips = encoder.backbone, encoder.clips
  one_clip = (clips.frames, backbone.size, backbone.size, 3)
  shapes = {name: outputs[name].shape[1:] for name in NAMES}

  def shape(of_one: tuple[int, ...]) -> list[int | None]:
    if program.channels_first:
      of_one = (of_one[-1], *of_one[:-1])
    return [None, *of_one]

  return {
    "format": program.name,
    "input": {
      "name": "clips",
      "axes": "BCTHW" if program.channels_first else "BTHWC",
      "shape": shape(one_clip),
      "dtype": "float32",
      "colours": "RGB",
      "mean": [0.5] * 3,
      "std": [0.5] * 3,
      "short_side": SingleVideos(clips, backbone.size).short_side,
    },
    "outputs": {name: shape(of_one) for name, of_one in shapes.items()},
    "model": backbone.architecture(),
    "clips": exported.describe_clips(backbone, loaded.config),
    "step": loaded.step,
    "versions": results.versions(),
  }
