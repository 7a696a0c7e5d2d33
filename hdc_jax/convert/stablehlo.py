"""An encoder as a file of StableHLO, which JAX runs without hdc_jax.

Example of a program that has JAX and flatbuffers alone:

  from jax import export
  encode = export.deserialize(bytearray(open("encoder.stablehlo", "rb").read()))
  features = encode.call(clips)["features"]
"""

import pathlib

import jax
import numpy as np
from jax import export

from hdc_jax.convert.outputs import Outputs, make_outputs
from hdc_jax.evaluate.encoder import Encoder

# A file has the program of each: convolutions differ between them.
PLATFORMS = ("cpu", "cuda", "tpu")


def write(path: pathlib.Path, encoder: Encoder) -> None:
  """Writes an encoder with its weights, for any number of clips.

  Args:
    path: The file.
    encoder: The encoder. Its activations keep their dtype; what it takes and
      returns is float32.
  """
  outputs, size = make_outputs(encoder.backbone), encoder.backbone.size

  def encode(clips: jax.Array) -> dict[str, jax.Array]:
    return outputs(encoder.variables, clips)

  (batch,) = export.symbolic_shape("batch")
  clips = jax.ShapeDtypeStruct(
    (batch, encoder.clips.frames, size, size, 3), "float32"
  )
  exported = export.export(jax.jit(encode), platforms=PLATFORMS)(clips)
  path.write_bytes(exported.serialize())


def run(path: pathlib.Path, clips: np.ndarray) -> Outputs:
  """Runs the program of a file on the default device.

  Args:
    path: The file.
    clips: RGB in [-1, 1], float32 [B, T, S, S, 3].

  Returns:
    The outputs of `outputs.make_outputs`.
  """
  exported = export.deserialize(bytearray(path.read_bytes()))
  return jax.device_get(exported.call(clips))
