"""An encoder of hdc_jax as a model of Hugging Face's transformers.

`python -m hdc_jax.convert export --format=huggingface` copies this file and
encoders.py into the folder that it writes, which then needs torch, safetensors
and transformers, but not hdc_jax:

  from transformers import AutoModel
  model = AutoModel.from_pretrained(folder, trust_remote_code=True)
  features = model(pixel_values).pooler_output

Clips are RGB in [-1, 1], float32 [B, T, 3, H, W], as the folder's image
processor makes them.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from hdc_jax.interop.encoders import ENCODERS


class VideoEncoderConfig(PretrainedConfig):
  """The config of a `VideoEncoder`."""

  model_type = "hdc_jax"

  def __init__(
    self,
    encoder: Mapping[str, Any] | None = None,
    clips: Mapping[str, Any] | None = None,
    **others: Any,
  ) -> None:
    """Sets the fields.

    Args:
      encoder: Name and options of the encoder, see `encoders.ENCODERS`.
      clips: Length and size of the clips that it was trained on; none of it
        changes what the model computes.
      **others: Fields that every config has.
    """
    self.encoder = dict(encoder or {"name": "r3d18"})
    self.clips = dict(clips or {})
    super().__init__(**others)


class VideoEncoder(PreTrainedModel):
  """An encoder, whose features are the mean of its last endpoint."""

  config_class = VideoEncoderConfig
  base_model_prefix = "hdc_jax"
  main_input_name = "pixel_values"

  def __init__(self, config: VideoEncoderConfig) -> None:
    """Creates the layers."""
    super().__init__(config)
    options = dict(config.encoder)
    self.encoder = ENCODERS[options.pop("name")](**options)
    self.post_init()

  def forward(
    self, pixel_values: Tensor, **others: Any
  ) -> BaseModelOutputWithPooling:
    """Encodes clips.

    Args:
      pixel_values: RGB in [-1, 1], float32 [B, T, 3, H, W].
      **others: Arguments of other models, without effect.

    Returns:
      `pooler_output`, the features, float32 [B, C]; `last_hidden_state`, the
      endpoint block5 [B, C, T', H', W']; and `hidden_states`, the endpoints
      block1 to block5.
    """
    del others
    endpoints = self.encoder(pixel_values.transpose(1, 2))
    last = endpoints["block5"]
    return BaseModelOutputWithPooling(
      last_hidden_state=last,
      pooler_output=last.float().mean(dim=(2, 3, 4)),
      hidden_states=tuple(endpoints.values()),
    )
