"""Residual networks of 3D convolutions: blocks, shortcuts, and the whole.

What distinguishes the networks of this family (`r3d`, `r2plus1d`) is the data
of `R3D`: depths, kinds of blocks and convolutions, kernels and strides.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from hdc_jax.models import conv, norm, remat, stem

Endpoints = dict[str, jax.Array]
# A function of dtype and the function that makes norms, which returns the
# function that makes convolutions.
Factory = Callable[[jnp.dtype, norm.Norm], conv.Convolution]


@dataclasses.dataclass(frozen=True)
class Layers:
  """What all residual blocks of one network have in common.

  Attributes:
    make_conv: Function of features, kernel size, strides and `name=` that makes
      a convolution.
    make_projection: The same for the shortcuts of kind 'B'.
    make_norm: Function of `name=` that makes a normalisation.
    shortcut: Kind of shortcut where the shape changes: 'A' (subsampled and
      padded with zero channels) or 'B' (1×1×1 projection).
  """

  make_conv: conv.Convolution
  make_projection: conv.Convolution
  make_norm: norm.Norm
  shortcut: str


def subsample_and_pad(
  x: jax.Array, features: int, strides: Sequence[int]
) -> jax.Array:
  """Shortcut A: every `strides`-th position, with zeros for the new channels.

  It has no parameters.

  Args:
    x: Input [B, T, H, W, C].
    features: Number of output channels, at least C.
    strides: Strides over T, H and W.

  Returns:
    [B, ⌈T/t⌉, ⌈H/h⌉, ⌈W/w⌉, features], where the strides are (t, h, w).
  """
  t, h, w = strides
  x = x[:, ::t, ::h, ::w]
  extra = features - x.shape[-1]
  return jnp.pad(x, ((0, 0),) * 4 + ((0, extra),))


class ResidualBlock(nn.Module):
  """A sequence of convolutions whose result is added to a shortcut.

  Attributes:
    features: Number of channels of the stage; the block's output has
      `expansion` times as many.
    strides: Strides of the block over T, H and W.
    temporal_kernel: Size over T of the convolutions that span time.
    layers: Convolutions, norms and shortcuts of the network.
  """

  features: int
  strides: Sequence[int]
  temporal_kernel: int
  layers: Layers

  # The number of output channels as a multiple of `features`.
  expansion = 1

  def convolutions(self, inputs: int) -> tuple[nn.Module, ...]:
    """The convolutions in order.

    A norm follows each, and a ReLU follows the norms of all but the last.

    Args:
      inputs: Number of channels of the block's input.
    """
    raise NotImplementedError

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [B, T, H, W, C] to [B, T', H', W', features · expansion]."""
    layers, y = self.layers, x
    for i, convolution in enumerate(self.convolutions(x.shape[-1]), start=1):
      y = convolution(nn.relu(y) if i > 1 else y)
      y = layers.make_norm(name=f"norm{i}")(y)
    if x.shape != y.shape:
      features = self.features * self.expansion
      if layers.shortcut == "A":
        x = subsample_and_pad(x, features, self.strides)
      else:
        project = layers.make_projection
        x = project(features, (1, 1, 1), self.strides, name="conv0")(x)
        x = layers.make_norm(name="norm0")(x)
    return nn.relu(x + y)


class BasicBlock(ResidualBlock):
  """Two convolutions of 3×3×3, the first one strided."""

  def convolutions(self, inputs: int) -> tuple[nn.Module, ...]:
    """The two convolutions."""
    del inputs
    make_conv, size = self.layers.make_conv, (self.temporal_kernel, 3, 3)
    return (
      make_conv(self.features, size, self.strides, name="conv1"),
      make_conv(self.features, size, name="conv2"),
    )


class FullBottleneck(ResidualBlock):
  """Convolutions of 1×1×1, k×3×3 and 1×1×1, the second one strided."""

  expansion = 4

  def convolutions(self, inputs: int) -> tuple[nn.Module, ...]:
    """The three convolutions."""
    del inputs
    make_conv, size = self.layers.make_conv, (self.temporal_kernel, 3, 3)
    return (
      make_conv(self.features, (1, 1, 1), name="conv1"),
      make_conv(self.features, size, self.strides, name="conv2"),
      make_conv(self.features * self.expansion, (1, 1, 1), name="conv3"),
    )


class Bottleneck(ResidualBlock):
  """Convolutions of k×1×1, 1×3×3 and 1×1×1.

  The first has the block's stride over time, the second that over space.
  """

  expansion = 4

  def convolutions(self, inputs: int) -> tuple[nn.Module, ...]:
    """The three convolutions."""
    del inputs
    make_conv, (t, h, w) = self.layers.make_conv, self.strides
    time = (self.temporal_kernel, 1, 1)
    return (
      make_conv(self.features, time, (t, 1, 1), name="conv1"),
      make_conv(self.features, (1, 3, 3), (1, h, w), name="conv2"),
      make_conv(self.features * self.expansion, (1, 1, 1), name="conv3"),
    )


def plain(dtype: jnp.dtype, make_norm: norm.Norm) -> conv.Convolution:
  """The convolutions of R3D, which span space and time at once.

  Args:
    dtype: Dtype of the computation.
    make_norm: Unused; all kinds of convolutions are called alike.

  Returns:
    The function that makes a `conv.Conv3D`.
  """
  del make_norm
  return functools.partial(conv.Conv3D, dtype=dtype)


class R3D(nn.Module):
  """3D-ResNet: clips → the activations of its stem and its four stages.

  Attributes:
    stage_sizes: Number of residual blocks in each of the four stages.
    block: Class of the residual blocks.
    convolution: Function of dtype and `make_norm` that returns the function
      which makes the convolutions; see `plain`.
    stem_convolution: The same for the stem, if that is another.
    projection: The same for the shortcuts of kind 'B', if that is another.
    width: Number of channels of the stem; the stages have 1, 2, 4 and 8 times
      as many, times the expansion of the block.
    stem: Kernel size of the stem over T, H and W.
    stem_strides: Strides of the stem over T, H and W.
    stem_pool: Whether a max pool follows the stem; torchvision's networks have
      none.
    pool_window: Window of that pool over T, H and W; the padding is half of it.
    pool_strides: Strides of that pool over T, H and W.
    strides: Strides of the first block of each of the last three stages.
    temporal_kernels: Kernel size over T in each of the four stages.
    shortcut: Kind of shortcut where the shape changes, 'A' or 'B'; see
      `Layers`.
    norm: Name of the normalisation, see `norm.NORMS`.
    dtype: Dtype of the activations; parameters and statistics are float32.
    remat: Numbers of the blocks whose activations are computed again in the
      backward pass, see `remat.call`.

  Example:
    A narrow R3D-18 on a small clip.

    >>> clips = jnp.zeros((1, 8, 32, 32, 3))  # [B, T, H, W, 3]
    >>> network = R3D(stage_sizes=(2, 2, 2, 2), width=4)
    >>> endpoints, variables = jax.eval_shape(  # shapes alone
    ...   network.init_with_output, jax.random.key(0), clips
    ... )
    >>> for name, features in endpoints.items():
    ...   print(name, features.shape)
    block1 (1, 8, 16, 16, 4)
    block2 (1, 4, 8, 8, 4)
    block3 (1, 2, 4, 4, 8)
    block4 (1, 1, 2, 2, 16)
    block5 (1, 1, 1, 1, 32)
  """

  stage_sizes: Sequence[int] = (2, 2, 2, 2)
  block: type[ResidualBlock] = BasicBlock
  convolution: Factory = plain
  stem_convolution: Factory | None = None
  projection: Factory | None = None
  width: int = 64
  stem: Sequence[int] = (7, 7, 7)
  stem_strides: Sequence[int] = (1, 2, 2)
  stem_pool: bool = True
  pool_window: conv.Triple = (3, 3, 3)
  pool_strides: conv.Triple = (2, 2, 2)
  strides: Sequence[int] = (2, 2, 2)
  temporal_kernels: Sequence[int] = (3, 3, 3, 3)
  shortcut: str = "A"
  norm: str = "instance"
  dtype: jnp.dtype = jnp.float32
  remat: Sequence[int] = ()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> Endpoints:
    """Encodes clips.

    Args:
      x: Clips [B, T, H, W, 3] in [-1, 1].
      train: Whether batch norm uses the statistics of the batch; see
        `norm.batch_norm`.

    Returns:
      The endpoints 'block1' to 'block5', each [B, T', H', W', C] of `dtype`.
    """
    make_norm = norm.make_norm(self.norm, self.dtype, train)
    make_conv, make_stem, make_projection = (
      (factory or self.convolution)(self.dtype, make_norm)
      for factory in (self.convolution, self.stem_convolution, self.projection)
    )
    layers = Layers(make_conv, make_projection, make_norm, self.shortcut)

    make_stem = functools.partial(make_stem, name="stem_conv")

    def run_stem(network: R3D, clips: jax.Array) -> tuple[jax.Array, jax.Array]:
      """The activations of the stem, and what goes into the next block."""
      convolution = make_stem(network.width, network.stem, network.stem_strides)
      normalisation = make_norm(name="stem_norm")
      x = nn.relu(normalisation(convolution(clips)))
      if not network.stem_pool:
        return x, x
      return x, stem.max_pool(
        x,
        network.pool_window,
        network.pool_strides,
        clips=clips,
        convolution=convolution,
        normalisation=normalisation,
      )

    def run_stage(network: R3D, x: jax.Array, stage: int) -> jax.Array:
      for i in range(network.stage_sizes[stage]):
        x = network.block(
          features=network.width * 2**stage,
          strides=network.strides if stage > 0 and i == 0 else (1, 1, 1),
          temporal_kernel=network.temporal_kernels[stage],
          layers=layers,
          name=f"block{stage + 2}_{i}",
        )(x)
      return x

    call = functools.partial(remat.call, blocks=self.remat)
    endpoints = {}
    endpoints["block1"], x = call(run_stem, self, "block1", x)
    for stage in range(len(self.stage_sizes)):
      run, block = (
        functools.partial(run_stage, stage=stage),
        f"block{stage + 2}",
      )
      endpoints[block] = x = call(run, self, block, x)
    return endpoints
