"""3D-ResNets, returning the activations of the stem and of every stage.

A stem (which is "block 1"), a max pool, and four stages of residual blocks
("block 2" to "block 5"). The global pool and the fully connected layer that
follow in the papers are not part of it.

`r3d18` and `r3d34` are 3D-ResNets of basic blocks (Hara et al., CVPR 2018): a
stem of 7×7×7 with stride (1, 2, 2) and 64 channels, a max pool 3×3×3 of stride
2, and stages of 64, 128, 256 and 512 channels, of which the last three start
with stride 2. The 18 layers of the HDC paper:

| r3d18  | 16×112×112 in | 32×224×224 in  | parameters up to here (A / B) |
|--------|---------------|----------------|-------------------------------|
| block1 | 16×56×56×64   | 32×112×112×64  | 65,984 / 65,984               |
| block2 | 8×28×28×64    | 16×56×56×64    | 508,864 / 508,864             |
| block3 | 4×14×14×128   | 8×28×28×128    | 2,058,176 / 2,066,624         |
| block4 | 2×7×7×256     | 4×14×14×256    | 8,253,376 / 8,295,104         |
| block5 | 1×4×4×512     | 2×7×7×512      | 33,030,080 / 33,203,904       |

`r3d34` has the same endpoints and 63,339,712 / 63,513,536 parameters.

`r3d50` is the R3D-50 of CVRL (arXiv 2008.03800): a stem of 5×7×7 with stride
(2, 2, 2), a max pool 1×3×3 with stride (1, 2, 2), and bottlenecks whose
temporal kernels are 1 in the first two stages and 3 in the last two, without
any more temporal stride. Choice: convolutions and pools are padded by the same
number of positions at both ends, as in PyTorch. CVRL's reference code is in
TensorFlow, which pads even sizes at the end only.

| r3d50  | 16×112×112 in | 32×224×224 in  | parameters up to here (A / B) |
|--------|---------------|----------------|-------------------------------|
| block1 | 8×56×56×64    | 16×112×112×64  | 47,168 / 47,168               |
| block2 | 8×28×28×256   | 16×56×56×256   | 246,080 / 262,976             |
| block3 | 8×14×14×512   | 16×28×28×512   | 1,333,568 / 1,482,560         |
| block4 | 8×7×7×1024    | 16×14×14×1024  | 10,789,184 / 11,464,512       |
| block5 | 8×4×4×2048    | 16×7×7×2048    | 28,895,552 / 31,672,128       |
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hdc_jax.models import base, conv, norm
from hdc_jax.options import option

Endpoints = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Layers:
  """What all residual blocks of one network have in common.

  Attributes:
    make_conv: Function of features, kernel size, strides and `name=` that makes
      a convolution.
    make_norm: Function of `name=` that makes a normalisation.
    shortcut: Kind of shortcut where the shape changes: 'A' (subsampled and
      padded with zero channels) or 'B' (1×1×1 projection).
  """

  make_conv: conv.Convolution
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

  def convolutions(self) -> tuple[nn.Module, ...]:
    """The convolutions in order.

    A norm follows each, and a ReLU follows the norms of all but the last.
    """
    raise NotImplementedError

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [B, T, H, W, C] to [B, T', H', W', features · expansion]."""
    layers, y = self.layers, x
    for i, convolution in enumerate(self.convolutions(), start=1):
      y = convolution(nn.relu(y) if i > 1 else y)
      y = layers.make_norm(name=f"norm{i}")(y)
    if x.shape != y.shape:
      features = self.features * self.expansion
      if layers.shortcut == "A":
        x = subsample_and_pad(x, features, self.strides)
      else:
        x = layers.make_conv(features, (1, 1, 1), self.strides, name="conv0")(x)
        x = layers.make_norm(name="norm0")(x)
    return nn.relu(x + y)


class BasicBlock(ResidualBlock):
  """Two convolutions of 3×3×3, the first one strided."""

  def convolutions(self) -> tuple[nn.Module, ...]:
    """The two convolutions."""
    make_conv, size = self.layers.make_conv, (self.temporal_kernel, 3, 3)
    return (
      make_conv(self.features, size, self.strides, name="conv1"),
      make_conv(self.features, size, name="conv2"),
    )


class Bottleneck(ResidualBlock):
  """Convolutions of k×1×1, 1×3×3 and 1×1×1.

  The first has the block's stride over time, the second that over space.
  """

  expansion = 4

  def convolutions(self) -> tuple[nn.Module, ...]:
    """The three convolutions."""
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
      which makes every convolution; see `plain`.
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
  convolution: Callable[[jnp.dtype, norm.Norm], conv.Convolution] = plain
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
    make_conv = self.convolution(self.dtype, make_norm)
    layers = Layers(make_conv, make_norm, self.shortcut)

    x = make_conv(self.width, self.stem, self.stem_strides, name="stem_conv")(x)
    x = nn.relu(make_norm(name="stem_norm")(x))
    endpoints = {"block1": x}
    if self.stem_pool:
      t, h, w = self.pool_window
      padding = t // 2, h // 2, w // 2
      x = conv.max_pool(x, (t, h, w), self.pool_strides, padding)
    for stage, size in enumerate(self.stage_sizes):
      for i in range(size):
        x = self.block(
          features=self.width * 2**stage,
          strides=self.strides if stage > 0 and i == 0 else (1, 1, 1),
          temporal_kernel=self.temporal_kernels[stage],
          layers=layers,
          name=f"block{stage + 2}_{i}",
        )(x)
      endpoints[f"block{stage + 2}"] = x
    return endpoints


@dataclasses.dataclass(frozen=True)
class R3DOptions(base.BackboneOptions):
  """Options of all 3D-ResNets, in addition to those of all backbones."""

  stem: tuple[int, ...] = option(
    (),
    "Kernel size of the stem over T, H, W; empty: the backbone's own.",
    lengths=(0, 3),
    at_least=1,
  )
  shortcut: str = option(
    "",
    "Shortcut where the shape changes: A (subsample and zero-pad), B (1×1×1 "
    "projection) or empty: the backbone's own.",
    choices=("", "A", "B"),
  )
  stem_pool: bool = option(True, "Whether a max pool follows the stem.")

  def own_options(self) -> dict[str, Any]:
    """The options that are set, and so differ from the backbone's own."""
    own = {"stem": self.stem, "shortcut": self.shortcut}
    pool = {} if self.stem_pool else {"stem_pool": False}
    return {name: value for name, value in own.items() if value} | pool


class R3D18(R3DOptions):
  """Options of R3D-18."""

  name = "r3d18"

  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes."""
    return R3D(stage_sizes=(2, 2, 2, 2), **options)


class R3D34(R3DOptions):
  """Options of R3D-34."""

  name = "r3d34"

  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes."""
    return R3D(stage_sizes=(3, 4, 6, 3), **options)


class R3D50(R3DOptions):
  """Options of CVRL's R3D-50."""

  name = "r3d50"

  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes; CVRL's where they are not given."""
    own: dict[str, Any] = {"stem": (5, 7, 7), "shortcut": "B"} | options
    return R3D(
      stage_sizes=(3, 4, 6, 3),
      block=Bottleneck,
      stem_strides=(2, 2, 2),
      pool_window=(1, 3, 3),
      pool_strides=(1, 2, 2),
      strides=(1, 2, 2),
      temporal_kernels=(1, 1, 3, 3),
      **own,
    )
