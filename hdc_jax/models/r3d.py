"""3D-ResNet (Hara et al., CVPR 2018), returning what every block computes.

A stem of 7×7×7 with stride (1, 2, 2) and 64 channels, a max pool 3×3×3 of
stride 2, then four stages of basic blocks of two 3×3×3 convolutions, the last
three starting with stride 2. The stem is "block 1". Fully connected layers are
left to whoever uses the endpoints.

With `stage_sizes=(2, 2, 2, 2)` it is the 18-layer network of the HDC paper:

| endpoint | 16×112×112 in | 32×224×224 in  | parameters up to here (A / B) |
|----------|---------------|----------------|-------------------------------|
| block1   | 16×56×56×64   | 32×112×112×64  | 65,984 / 65,984               |
| block2   | 8×28×28×64    | 16×56×56×64    | 508,864 / 508,864             |
| block3   | 4×14×14×128   | 8×28×28×128    | 2,058,176 / 2,066,624         |
| block4   | 2×7×7×256     | 4×14×14×256    | 8,253,376 / 8,295,104         |
| block5   | 1×4×4×512     | 2×7×7×512      | 33,030,080 / 33,203,904       |
"""

import functools
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from hdc_jax.models import conv, norm

Endpoints = dict[str, jax.Array]


def subsample_and_pad(
  x: jax.Array, features: int, strides: Sequence[int]
) -> jax.Array:
  """Shortcut A: every `strides`-th position, new channels zero; no parameters.

  Args:
    x: [B, T, H, W, C].
    features: Channels wanted, at least C.
    strides: Over T, H, W.
  """
  t, h, w = strides
  x = x[:, ::t, ::h, ::w]
  extra = features - x.shape[-1]
  return jnp.pad(x, ((0, 0),) * 4 + ((0, extra),))


class BasicBlock(nn.Module):
  """Two 3×3×3 convolutions and a shortcut.

  Attributes:
    features: Output channels.
    stride: Of the first convolution, the same over T, H, W.
    shortcut: 'A' (subsample and zero-pad) or 'B' (1×1×1 projection) where the
      shape changes.
    conv: Makes a convolution from features, kernel size and strides.
    norm: Makes a normalisation.
  """

  features: int
  stride: int
  shortcut: str
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, T, H, W, C] → [B, T', H', W', features]."""
    strides = (self.stride,) * 3
    y = self.conv(self.features, (3, 3, 3), strides, name="conv1")(x)
    y = nn.relu(self.norm(name="norm1")(y))
    y = self.conv(self.features, (3, 3, 3), name="conv2")(y)
    y = self.norm(name="norm2")(y)
    if x.shape != y.shape:
      if self.shortcut == "A":
        x = subsample_and_pad(x, self.features, strides)
      else:
        x = self.conv(self.features, (1, 1, 1), strides, name="conv0")(x)
        x = self.norm(name="norm0")(x)
    return nn.relu(x + y)


class R3D(nn.Module):
  """3D-ResNet of basic blocks.

  Attributes:
    stage_sizes: Basic blocks in each of the four stages.
    width: Channels of the stem; stages have 1, 2, 4 and 8 times as many.
    stem: Kernel size of the stem over T, H, W.
    shortcut: 'A' or 'B', see `BasicBlock`.
    norm: Name of a normalisation in `norm.NORMS`.
    dtype: Of the activations; parameters and statistics are float32.
  """

  stage_sizes: Sequence[int] = (2, 2, 2, 2)
  width: int = 64
  stem: Sequence[int] = (7, 7, 7)
  shortcut: str = "A"
  norm: str = "instance"
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> Endpoints:
    """Encodes clips.

    Args:
      x: [B, T, H, W, 3] in [-1, 1].

    Returns:
      'block1' … 'block5' → [B, T', H', W', C] of `dtype`.
    """
    make_conv = functools.partial(conv.Conv3D, dtype=self.dtype)
    make_norm = norm.make_norm(self.norm, self.dtype)

    x = make_conv(self.width, self.stem, (1, 2, 2), name="stem_conv")(x)
    x = nn.relu(make_norm(name="stem_norm")(x))
    endpoints = {"block1": x}
    x = conv.max_pool(x)
    for stage, size in enumerate(self.stage_sizes):
      for i in range(size):
        x = BasicBlock(
          features=self.width * 2**stage,
          stride=2 if stage > 0 and i == 0 else 1,
          shortcut=self.shortcut,
          conv=make_conv,
          norm=make_norm,
          name=f"block{stage + 2}_{i}",
        )(x)
      endpoints[f"block{stage + 2}"] = x
    return endpoints
