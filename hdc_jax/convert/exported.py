"""Files that `convert export` writes: what they say of their encoder."""

import json
import os
from collections.abc import Mapping
from typing import Any

import jax

from hdc_jax.convert import encoder, formats, layouts
from hdc_jax.data.options import Clips
from hdc_jax.errors import ConfigError, DataError, choose
from hdc_jax.evaluate.encoder import Encoder
from hdc_jax.models import BACKBONES, BackboneOptions
from hdc_jax.runtime import files

# Name of the weights in a folder of Hugging Face's layout, and the prefix of
# their names there.
WEIGHTS, PREFIX = "model.safetensors", "encoder."
SUFFIX = ".safetensors"


def describe_clips(
  backbone: BackboneOptions, config: Mapping[str, Any]
) -> dict[str, Any]:
  """What a file says of the clips of its encoder, as JSON represents it.

  Args:
    backbone: Options of the backbone.
    config: The config of the run, by section.

  Returns:
    The fields of `Clips` that have an effect, and the size and the type of the
    backbone's activations.
  """
  clips = Clips.fitted(config["data"])
  return clips | {"size": backbone.size, "dtype": backbone.dtype}


def load(path: str | os.PathLike[str]) -> Encoder:
  """Loads an encoder that `convert export` has written.

  Args:
    path: A .safetensors file, or the one in a folder of Hugging Face's layout.

  Raises:
    DataError: If the file is missing or damaged, or does not say which encoder
      it holds and what clips that was trained on.
  """
  path = os.fspath(path)
  with files.reading(path) as local:
    arrays, texts = formats.of(local).read(local)
  try:
    model, clips = json.loads(texts["model"]), json.loads(texts["clips"])
  except (KeyError, ValueError) as error:
    raise DataError(
      f"{path} does not say which encoder it holds, and its clips: export the "
      "run again; or import the file into a run by `python -m hdc_jax.convert "
      "import`, and load that"
    ) from error
  try:
    backbone = _read_backbone(model | clips)
    variables = layouts.from_torch(
      {name.removeprefix(PREFIX): array for name, array in arrays.items()},
      encoder.template(backbone),
      layouts.of(backbone.name)[0],
      backbone.norm,
    )
    made = Clips.from_values(clips)
  except (ConfigError, DataError, TypeError, AttributeError) as error:
    raise DataError(f"{path}: {error}") from error
  return Encoder(
    backbone, jax.device_put({"batch_stats": {}} | variables), made
  )


def _read_backbone(values: Mapping[str, Any]) -> BackboneOptions:
  """The options of a backbone, as JSON represents them."""
  tuples = {
    name: tuple(value) if isinstance(value, list) else value
    for name, value in values.items()
  }
  return choose("model.name", values.get("name"), BACKBONES).from_values(tuples)
