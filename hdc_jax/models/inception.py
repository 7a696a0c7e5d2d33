"""Inception-v1 over space and time, returning the activations of every block.

The layers of Inception-v1 (Szegedy et al., CVPR 2015), inflated over time. A
stem of 7×7×7 with stride 2, convolutions of 1×1×1 and 3×3×3, and nine modules
of four branches, which are concatenated: 1×1×1; 1×1×1 and 3×3×3; the same with
other widths; a max pool of 3×3×3 and 1×1×1. `s3d` and `i3d` are such networks;
the pool and the classifier that follow in the papers are not part of them.

Choice: the blocks end before the four max pools and after the last module, as
in CoCLR's S3D, so that a block is all that has one resolution, as in the other
backbones: strides over T, H and W are 2, 2, 2 after block 1, then 2, 4, 4; 2,
8, 8; 4, 16, 16; and 8, 32, 32. Taken before the pools, endpoints keep the most
temporal positions.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hdc_jax.models import base, conv, norm, remat
from hdc_jax.options import option

# The epsilon of the norms in both papers' code, of TensorFlow.
EPSILON = 1e-3
# Channels of the first convolution; those of all others are for this width.
_WIDTH = 64


@dataclasses.dataclass(frozen=True)
class Block:
  """The layers between two max pools.

  Attributes:
    pool: Window and strides of the max pool before the block; None if there is
      none.
    convolutions: Channels, kernel size and stride of each convolution by name;
      sizes and strides are the same over T, H and W.
    modules: Channels of the six convolutions of each module by name, in the
      order of `Module`.
  """

  pool: tuple[conv.Triple, conv.Triple] | None
  convolutions: Mapping[str, tuple[int, int, int]]
  modules: Mapping[str, tuple[int, int, int, int, int, int]]


BLOCKS = {
  "block1": Block(None, {"conv1a": (64, 7, 2)}, {}),
  "block2": Block(
    ((1, 3, 3), (1, 2, 2)), {"conv2b": (64, 1, 1), "conv2c": (192, 3, 1)}, {}
  ),
  "block3": Block(
    ((1, 3, 3), (1, 2, 2)),
    {},
    {
      "block3b": (64, 96, 128, 16, 32, 32),
      "block3c": (128, 128, 192, 32, 96, 64),
    },
  ),
  "block4": Block(
    ((3, 3, 3), (2, 2, 2)),
    {},
    {
      "block4b": (192, 96, 208, 16, 48, 64),
      "block4c": (160, 112, 224, 24, 64, 64),
      "block4d": (128, 128, 256, 24, 64, 64),
      "block4e": (112, 144, 288, 32, 64, 64),
      "block4f": (256, 160, 320, 32, 128, 128),
    },
  ),
  "block5": Block(
    ((2, 2, 2), (2, 2, 2)),
    {},
    {
      "block5b": (256, 160, 320, 32, 128, 128),
      "block5c": (384, 192, 384, 48, 128, 128),
    },
  ),
}


@dataclasses.dataclass(frozen=True)
class Layers:
  """What all layers of one network have in common.

  Attributes:
    width: Number of channels of the first convolution.
    separable: Whether a convolution of k×k×k is one of 1×k×k and one of k×1×1,
      each with a norm and a ReLU.
    pad: How convolutions and max pools are padded.
    make_conv: Function of features, kernel size, strides and `name=` that makes
      a convolution.
    make_norm: Function of `name=` that makes a normalisation.
  """

  width: int
  separable: bool
  pad: conv.Padding
  make_conv: conv.Convolution
  make_norm: norm.Norm

  def max_pool(
    self, x: jax.Array, window: conv.Triple, strides: conv.Triple
  ) -> jax.Array:
    """Pools [B, T, H, W, C], padded as the network is."""
    x, padding = self.pad(x, window, strides)
    return conv.max_pool(x, window, strides, padding)


class Unit(nn.Module):
  """A convolution, separable or not, each with a norm and a ReLU.

  Attributes:
    channels: Number of output channels at full width.
    size: Kernel size over T, H and W.
    stride: Stride over T, H and W.
    layers: Convolutions, norms and padding of the network.
  """

  channels: int
  size: int
  stride: int
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [B, T, H, W, C] to [B, T', H', W', channels · width / 64]."""
    size, stride, layers = self.size, self.stride, self.layers
    steps = {"": ((size,) * 3, (stride,) * 3)}
    if layers.separable and size > 1:
      steps = {
        "_space": ((1, size, size), (1, stride, stride)),
        "_time": ((size, 1, 1), (stride, 1, 1)),
      }
    features = max(1, self.channels * layers.width // _WIDTH)
    for suffix, (kernel, strides) in steps.items():
      name = f"conv{suffix}"
      x = layers.make_conv(features, kernel, strides, name=name)(x)
      x = nn.relu(layers.make_norm(name=f"norm{suffix}")(x))
    return x


class Module(nn.Module):
  """Four branches, whose outputs are concatenated.

  Attributes:
    channels: Numbers of channels at full width of branch 0; of the first and
      the second convolution of branch 1, and of branch 2; and of branch 3.
    layers: Convolutions, norms and padding of the network.
  """

  channels: tuple[int, int, int, int, int, int]
  layers: Layers

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [B, T, H, W, C] to the channels of all branches together."""

    def unit(name: str, channels: int, size: int = 1) -> nn.Module:
      return Unit(channels, size, 1, self.layers, name=name)

    c0, c1a, c1b, c2a, c2b, c3b = self.channels
    pooled = self.layers.max_pool(x, (3, 3, 3), (1, 1, 1))
    branches = (
      unit("branch0", c0)(x),
      unit("branch1b", c1b, 3)(unit("branch1a", c1a)(x)),
      unit("branch2b", c2b, 3)(unit("branch2a", c2a)(x)),
      unit("branch3b", c3b)(pooled),
    )
    return jnp.concatenate(branches, axis=-1)


class Inception(nn.Module):
  """Inception-v1 over space and time: clips → the activations of its blocks.

  Attributes:
    separable: Whether convolutions are separable, see `Layers`.
    pad: How convolutions and max pools are padded.
    width: Number of channels of the first convolution. All others scale with
      it, rounded down, and have at least one.
    norm: Name of the normalisation, see `norm.NORMS`.
    epsilon: What the norms add to the variance.
    dtype: Dtype of the activations; parameters and statistics are float32.
    remat: Numbers of the blocks whose activations are computed again in the
      backward pass, see `remat.call`.

  Example:
    >>> clips = jnp.zeros((1, 8, 32, 32, 3))  # [B, T, H, W, 3]
    >>> endpoints, variables = jax.eval_shape(  # shapes alone
    ...   Inception(width=16).init_with_output, jax.random.key(0), clips
    ... )
    >>> endpoints["block1"].shape, endpoints["block5"].shape
    ((1, 4, 16, 16, 16), (1, 1, 1, 1, 256))
  """

  separable: bool = False
  pad: conv.Padding = conv.pad_evenly
  width: int = _WIDTH
  norm: str = "instance"
  epsilon: float = EPSILON
  dtype: jnp.dtype = jnp.float32
  remat: Sequence[int] = ()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> dict[str, jax.Array]:
    """Encodes clips.

    Args:
      x: Clips [B, T, H, W, 3] in [-1, 1].
      train: Whether batch norm uses the statistics of the batch; see
        `norm.batch_norm`.

    Returns:
      The endpoints 'block1' to 'block5', each [B, T', H', W', C] of `dtype`.

    Raises:
      ConfigError: If the clips have too few frames or pixels for a max pool.
    """
    layers = Layers(
      self.width,
      self.separable,
      self.pad,
      functools.partial(conv.Conv3D, dtype=self.dtype, pad=self.pad),
      norm.make_norm(self.norm, self.dtype, train, self.epsilon),
    )

    def run(network: nn.Module, x: jax.Array, block: Block) -> jax.Array:
      del network
      if block.pool:
        x = layers.max_pool(x, *block.pool)
      for unit, (channels, size, stride) in block.convolutions.items():
        x = Unit(channels, size, stride, layers, name=unit)(x)
      for module, widths in block.modules.items():
        x = Module(widths, layers, name=module)(x)
      return x

    endpoints = {}
    for name, block in BLOCKS.items():
      one = functools.partial(run, block=block)
      x = remat.call(one, self, name, x, blocks=self.remat)
      endpoints[name] = x
    return endpoints


@dataclasses.dataclass(frozen=True)
class InceptionOptions(base.BackboneOptions):
  """Options of both networks, in addition to those of all backbones."""

  epsilon: float = option(
    EPSILON, "What the norms add to the variance.", above=0
  )

  def own_options(self) -> dict[str, Any]:
    """The epsilon."""
    return {"epsilon": self.epsilon}
