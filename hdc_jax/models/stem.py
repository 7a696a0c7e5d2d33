"""The max pool after a stem, in one piece with the stem where that is faster.

On TPU, the convolution, norm, ReLU and max pool of R3D's stem are those of
`tpu_stem`. The parameters are the same everywhere, so that a checkpoint can
move between platforms.
"""

import functools

import flax.linen as nn
import jax

from hdc_jax.models import conv, norm, placed_pool, tpu_stem
from hdc_jax.models.cpu_lowering import Triple


def max_pool(
  features: jax.Array,
  window: Triple,
  strides: Triple,
  *,
  clips: jax.Array,
  convolution: nn.Module,
  normalisation: nn.Module,
) -> jax.Array:
  """The max pool of the features of a stem, padded by half of the window.

  Args:
    features: ReLU of the stem's norm of its convolution, [B, T, H, W, C].
    window: Size of the window over T, H and W.
    strides: Strides of the window over T, H and W.
    clips: What the features were computed from, [B, T, H, W, 3].
    convolution: The convolution of the stem, after its call.
    normalisation: The norm of the stem, after its call.

  Returns:
    [B, T', H', W', C] of the same dtype.
  """
  t, h, w = (size // 2 for size in window)
  plain = functools.partial(
    conv.max_pool, window=window, strides=strides, padding=(t, h, w)
  )
  if (
    (window, strides) != (placed_pool.WINDOW, placed_pool.STRIDES)
    or not isinstance(convolution, conv.Conv3D)
    or not isinstance(normalisation, norm.InstanceNorm)
    or convolution.pad is not conv.pad_evenly
  ):
    return plain(features)
  kernel = convolution.variables["params"]["kernel"].astype(features.dtype)
  clips, padding = convolution.pad(
    clips.astype(features.dtype), convolution.kernel_size, convolution.strides
  )
  t, h, w = convolution.strides
  shape = {"strides": (t, h, w), "padding": padding}
  if not tpu_stem.suits(clips, kernel, **shape):
    return plain(features)
  epsilon = normalisation.epsilon

  def anywhere(
    clips: jax.Array, kernel: jax.Array, scale: jax.Array, bias: jax.Array
  ) -> jax.Array:
    y = conv.conv3d(clips, kernel, **shape)
    y = norm.normalise(y, scale, bias, epsilon).astype(y.dtype)
    return plain(nn.relu(y))

  affine = normalisation.variables["params"]
  # Profiles and plans show it under this name.
  with jax.named_scope("stem"):
    return jax.lax.platform_dependent(
      clips,
      kernel,
      affine["scale"],
      affine["bias"],
      tpu=tpu_stem.make(epsilon=epsilon, **shape),
      default=anywhere,
    )
