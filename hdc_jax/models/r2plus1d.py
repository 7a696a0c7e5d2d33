"""R(2+1)D: 3D-ResNets whose convolutions are factored into space and time.

`r2plus1d10` is the ten-layer network of video clip order prediction (Xu et al.,
CVPR 2019), which the HDC paper uses: a stem of 3×7×7 with stride (1, 2, 2)
without a max pool, and one basic block per stage of 64, 128, 256 and 512
channels, the last three of stride 2. Every convolution is factored, those of
the stem and of the shortcuts (projections) too.

| r2plus1d10 | 16×112×112 in  | 32×224×224 in  | parameters up to here |
|------------|----------------|----------------|-----------------------|
| block1     | 16×56×56×64    | 32×112×112×64  | 28,431                |
| block2     | 16×56×56×64    | 32×112×112×64  | 250,447               |
| block3     | 8×28×28×128    | 16×56×56×128   | 923,567               |
| block4     | 4×14×14×256    | 8×28×28×256    | 3,612,657             |
| block5     | 2×7×7×512      | 4×14×14×512    | 14,365,303            |

`r2plus1d18` is torchvision's r2plus1d_18 (Tran et al., CVPR 2018): the same
with two blocks per stage and shortcuts that are not factored. The stem has 45
middle channels, where the formula gives 83; and both convolutions of a block
have the middle channels of its first one: 230, 460 and 921 in the first blocks
of the last three stages, where the formula gives 288, 576 and 1152 for the
second.

| r2plus1d18 | 16×112×112 in  | 32×224×224 in  | parameters up to here |
|------------|----------------|----------------|-----------------------|
| block1     | 16×56×56×64    | 32×112×112×64  | 15,473                |
| block2     | 16×56×56×64    | 32×112×112×64  | 459,505               |
| block3     | 8×28×28×128    | 16×56×56×128   | 1,929,865             |
| block4     | 4×14×14×256    | 8×28×28×256    | 7,804,601             |
| block5     | 2×7×7×512      | 4×14×14×512    | 31,300,125            |
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hdc_jax.models import base, conv, norm, residual


def middle_channels(
  kernel_size: Sequence[int], inputs: int, features: int
) -> int:
  """The number of channels between the factors of a convolution.

  It is such that they have about as many parameters as the one convolution
  (Tran et al., CVPR 2018, Section 3.5).

  Args:
    kernel_size: Size (t, h, w) of the convolution that is factored.
    inputs: Number of input channels.
    features: Number of output channels.
  """
  t, h, w = kernel_size
  return (t * h * w * inputs * features) // (h * w * inputs + t * features)


class FactoredConv(nn.Module):
  """A t×h×w convolution factored into 1×h×w, a norm, a ReLU and t×1×1.

  Attributes:
    features: Number of output channels.
    kernel_size: Size (t, h, w) of the convolution that is factored.
    strides: Strides over T, H and W.
    dtype: Dtype of the computation; parameters are float32.
    make_norm: Function that makes the norm between the two convolutions.
    middle: Number of channels between the two; None for `middle_channels`.
  """

  features: int
  kernel_size: Sequence[int]
  strides: Sequence[int] = (1, 1, 1)
  dtype: jnp.dtype = jnp.float32
  make_norm: norm.Norm = nn.InstanceNorm
  middle: int | None = None

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolves [B, T, H, W, C] to [B, T', H', W', features] of `dtype`."""
    (t, h, w), (stride_t, *stride_hw) = self.kernel_size, self.strides
    middle = self.middle or middle_channels(
      self.kernel_size, x.shape[-1], self.features
    )
    make_conv = functools.partial(conv.Conv3D, dtype=self.dtype)
    x = make_conv(middle, (1, h, w), (1, *stride_hw), name="spatial")(x)
    x = nn.relu(self.make_norm(name="norm")(x))
    time, strides = (t, 1, 1), (stride_t, 1, 1)
    return make_conv(self.features, time, strides, name="temporal")(x)


def factored(
  dtype: jnp.dtype, make_norm: norm.Norm, middle: int | None = None
) -> conv.Convolution:
  """The convolutions of R(2+1)D, factored into space and time.

  Args:
    dtype: Dtype of the computation.
    make_norm: Function that makes the norm between the two factors.
    middle: Number of channels between the two; None for `middle_channels`.

  Returns:
    The function that makes a `FactoredConv`.
  """
  return functools.partial(
    FactoredConv, dtype=dtype, make_norm=make_norm, middle=middle
  )


class SharedMiddleBlock(residual.BasicBlock):
  """Two factored convolutions with the middle channels of the first one."""

  def convolutions(self, inputs: int) -> tuple[nn.Module, ...]:
    """The two convolutions."""
    size = (self.temporal_kernel, 3, 3)
    make_conv = functools.partial(
      self.layers.make_conv,
      middle=middle_channels(size, inputs, self.features),
    )
    return (
      make_conv(self.features, size, self.strides, name="conv1"),
      make_conv(self.features, size, name="conv2"),
    )


class R2Plus1D10(base.BackboneOptions):
  """Options of R(2+1)D-10."""

  name = "r2plus1d10"

  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes."""
    return residual.R3D(
      stage_sizes=(1, 1, 1, 1),
      convolution=factored,
      stem=(3, 7, 7),
      stem_pool=False,
      shortcut="B",
      **options,
    )


class R2Plus1D18(base.BackboneOptions):
  """Options of R(2+1)D-18."""

  name = "r2plus1d18"

  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes."""
    # Choice: 45 middle channels of the stem at width 64, in proportion at
    # others; torchvision's network has no other width.
    middle = max(1, 45 * options["width"] // 64)
    return residual.R3D(
      stage_sizes=(2, 2, 2, 2),
      block=SharedMiddleBlock,
      convolution=factored,
      stem_convolution=functools.partial(factored, middle=middle),
      projection=residual.plain,
      stem=(3, 7, 7),
      stem_pool=False,
      shortcut="B",
      **options,
    )
