"""A folder that Hugging Face's transformers opens, without hdc_jax."""

import json
import pathlib
import re
from typing import Any

import numpy as np
from etils import epath

from hdc_jax.convert import encoder, exported, formats, layouts, model_card
from hdc_jax.data.clips.single import SingleVideos
from hdc_jax.data.options import Clips
from hdc_jax.errors import ConfigError
from hdc_jax.evaluate.encoder import Encoder
from hdc_jax.evaluate.pretrained import Pretrained
from hdc_jax.runs import results
from hdc_jax.runtime import files

_INTEROP = pathlib.Path(__file__).parents[1] / "interop"
# The file of the model, and that of the encoders which it imports.
_MODELING = "modeling_hdc_jax"
_CLASS = "VideoEncoder"


def write(loaded: Pretrained, output: str) -> None:
  """Writes the encoder of a run, with all that its users need.

  Args:
    loaded: The encoder, with its variables as NumPy arrays.
    output: The folder. It gets model.safetensors, the modelling file,
      encoders.py, preprocessor_config.json, README.md and, last, config.json.

  Raises:
    ConfigError: If the folder holds something already.
    HdcError: If the weights are not read back as they were written.
  """
  folder = epath.Path(output)
  if files.exists(folder) and (
    not files.is_dir(folder) or files.list_names(folder)
  ):
    raise ConfigError(f"--output={output} is there already: name a new folder")
  backbone = loaded.backbone
  layout = layouts.of(backbone.name)[0]
  encoder.check_layout(layout, backbone)
  clips = exported.describe_clips(backbone, loaded.config)
  model = backbone.architecture()
  texts = {
    "format": "pt",
    "model": json.dumps(model),
    "clips": json.dumps(clips),
  }
  with files.writing(folder / exported.WEIGHTS) as partial:
    arrays = _prefixed(layouts.to_torch(loaded.variables, layout))
    format_ = formats.of(exported.WEIGHTS)
    format_.write_verified(pathlib.Path(partial), arrays, texts)
  files.write(folder / "encoders.py", (_INTEROP / "encoders.py").read_bytes())
  files.write(folder / f"{_MODELING}.py", _modeling().encode())
  files.write_json(folder / "preprocessor_config.json", _preprocessor(clips))
  result = results.read_result(loaded.run)
  shown = Encoder(backbone, loaded.variables, Clips.from_values(clips))
  card = model_card.describe(loaded, clips, shown.endpoints, result)
  files.write(folder / "README.md", card.encode())
  files.write_json(
    folder / "config.json",
    {
      "model_type": "hdc_jax",
      "architectures": [_CLASS],
      "auto_map": {
        "AutoConfig": f"{_MODELING}.{_CLASS}Config",
        "AutoModel": f"{_MODELING}.{_CLASS}",
      },
      "encoder": model,
      "clips": clips,
    },
  )


def _prefixed(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The state dict of the model, whose attribute `encoder` has the arrays."""
  means = [name for name in arrays if name.endswith(".running_mean")]
  counts = {
    f"{name.removesuffix('running_mean')}num_batches_tracked": np.int64(0)
    for name in means
  }
  return {
    exported.PREFIX + name: np.asarray(array)
    for name, array in (arrays | counts).items()
  }


def _modeling() -> str:
  """The modelling file, which imports its neighbour in the folder."""
  text = (_INTEROP / "modeling.py").read_text()
  return re.sub(r"(?m)^from hdc_jax\.interop\.", "from .", text)


def _preprocessor(clips: dict[str, Any]) -> dict[str, Any]:
  """The steps from frames of a video to what the model sees.

  Args:
    clips: See `exported.describe_clips`.
  """
  size = clips["size"]
  shown = SingleVideos(Clips.from_values(clips), size)
  return {
    "image_processor_type": "VideoMAEImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": shown.short_side},
    "do_center_crop": True,
    "crop_size": {"height": size, "width": size},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
  }
