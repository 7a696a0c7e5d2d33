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
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hdc_jax.models import base, conv, norm, r3d


class FactoredConv(nn.Module):
  """A t×h×w convolution factored into 1×h×w, a norm, a ReLU and t×1×1.

  The number of channels between the two is such that they have about as many
  parameters as the one t×h×w convolution (Tran et al., CVPR 2018, Section 3.5).

  Attributes:
    features: Number of output channels.
    kernel_size: Size (t, h, w) of the convolution that is factored.
    strides: Strides over T, H and W.
    dtype: Dtype of the computation; parameters are float32.
    make_norm: Function that makes the norm between the two convolutions.
  """

  features: int
  kernel_size: Sequence[int]
  strides: Sequence[int] = (1, 1, 1)
  dtype: jnp.dtype = jnp.float32
  make_norm: norm.Norm = nn.InstanceNorm

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolves [B, T, H, W, C] to [B, T', H', W', features] of `dtype`."""
    (t, h, w), (stride_t, *stride_hw) = self.kernel_size, self.strides
    space, inputs = h * w, x.shape[-1]
    middle = (t * space * inputs * self.features) // (
      space * inputs + t * self.features
    )
    make_conv = functools.partial(conv.Conv3D, dtype=self.dtype)
    x = make_conv(middle, (1, h, w), (1, *stride_hw), name="spatial")(x)
    x = nn.relu(self.make_norm(name="norm")(x))
    time, strides = (t, 1, 1), (stride_t, 1, 1)
    return make_conv(self.features, time, strides, name="temporal")(x)


def factored(dtype: jnp.dtype, make_norm: norm.Norm) -> conv.Convolution:
  """The convolutions of R(2+1)D, factored into space and time.

  Args:
    dtype: Dtype of the computation.
    make_norm: Function that makes the norm between the two factors.

  Returns:
    The function that makes a `FactoredConv`.
  """
  return functools.partial(FactoredConv, dtype=dtype, make_norm=make_norm)


class R2Plus1D10(base.BackboneOptions):
  """Options of R(2+1)D-10."""

  name = "r2plus1d10"

  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes."""
    return r3d.R3D(
      stage_sizes=(1, 1, 1, 1),
      convolution=factored,
      stem=(3, 7, 7),
      stem_pool=False,
      shortcut="B",
      **options,
    )
