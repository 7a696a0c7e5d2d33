"""What every backbone has in common: its options, and how it is made."""

import abc
import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp

from hdc_jax.errors import ConfigError
from hdc_jax.models import norm
from hdc_jax.options import Options, option


@dataclasses.dataclass(frozen=True)
class BackboneOptions(Options, abc.ABC, section="model"):
  """Options of a backbone: section `model` of a config.

  Attributes:
    name: The name of the backbone in a config and in the registry.
    fewest_frames: Frames that a clip must have.
    smallest_size: Height and width in pixels that a clip must have.
  """

  name: ClassVar[str]
  fewest_frames: ClassVar[int] = 1
  smallest_size: ClassVar[int] = 1

  width: int = option(
    64,
    "Channels of the first convolution, which all others follow.",
    at_least=1,
  )
  norm: str = option(
    "instance",
    "Normalisation: instance, batch (over the global batch) or group.",
    choices=norm.NORMS,
  )
  size: int = option(
    112, "Height and width of the views in pixels.", at_least=1
  )
  dtype: str = option(
    "bfloat16",
    "Type of the activations: bfloat16 or float32; parameters are float32.",
    choices=("bfloat16", "float32"),
  )

  def make(self) -> nn.Module:
    """The module, from clips [B, T, H, W, 3] to a dict of endpoints.

    Its attributes `width`, `norm`, `dtype` and those of `own_options` are set.
    """
    return self.module(
      width=self.width,
      norm=self.norm,
      dtype=jnp.dtype(self.dtype),
      **self.own_options(),
    )

  @abc.abstractmethod
  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes."""

  def own_options(self) -> dict[str, Any]:
    """The options that not all backbones have, as far as they are set."""
    return {}

  def architecture(self) -> dict[str, Any]:
    """What weights depend on, by field: they fit networks that have it alike.

    As JSON has it, with lists for tuples.
    """
    own = {
      name: list(value) if isinstance(value, tuple) else value
      for name, value in self.own_options().items()
    }
    return {"name": self.name, "width": self.width, "norm": self.norm} | own

  def check_clip(self, frames: int, size: int) -> None:
    """Checks that the backbone can encode clips.

    Args:
      frames: Frames per clip.
      size: Height and width in pixels.

    Raises:
      ConfigError: Naming the field to raise.
    """
    for field, value, least in (
      ("data.frames", frames, self.fewest_frames),
      ("model.size", size, self.smallest_size),
    ):
      if value < least:
        raise ConfigError(
          f"config.{field}={value}: too few for {self.name}, which needs at "
          f"least {least}"
        )
