"""Options of backbones, and the module that they describe."""

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
    name: Name of the backbone in a config and in the registry.
    fewest_frames: Smallest number of frames of a clip.
    smallest_size: Smallest height and width of a clip in pixels.
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
  remat: tuple[int, ...] = option(
    (),
    "Blocks, 1 to 5, whose activations are computed again in the backward pass "
    "instead of being kept: less memory for a larger batch, and more time.",
    at_least=1,
    at_most=5,
    before=(),
  )

  def make(self) -> nn.Module:
    """Creates the module, from clips [B, T, H, W, 3] to a dict of endpoints.

    Its attributes are `width`, `norm` and `dtype`, and those of `own_options`;
    and `remat`, if it is set.

    Raises:
      ConfigError: If `remat` is set, and the module has no such attribute.
    """
    network = self.module(
      width=self.width,
      norm=self.norm,
      dtype=jnp.dtype(self.dtype),
      **self.own_options(),
    )
    if not self.remat:
      return network
    if not hasattr(network, "remat"):
      raise ConfigError(
        f"config.model.remat={self.remat}: {self.name} cannot compute blocks "
        "again: leave it out"
      )
    return network.clone(remat=self.remat)

  @abc.abstractmethod
  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes."""

  def own_options(self) -> dict[str, Any]:
    """The set options that not all backbones have, by name."""
    return {}

  def architecture(self) -> dict[str, Any]:
    """The options that determine names and shapes of weights.

    Weights fit into another network if these are equal.

    Returns:
      The options by name, as JSON represents them: with lists for tuples.
    """
    own = {
      name: list(value) if isinstance(value, tuple) else value
      for name, value in self.own_options().items()
    }
    return {"name": self.name, "width": self.width, "norm": self.norm} | own

  def check_clip(self, frames: int, size: int) -> None:
    """Checks that clips are large enough for the backbone.

    Args:
      frames: Number of frames of a clip.
      size: Height and width of a clip in pixels.

    Raises:
      ConfigError: If not; the message names the field that is too small.
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
