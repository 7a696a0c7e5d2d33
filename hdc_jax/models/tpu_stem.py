"""The stem of a 3D-ResNet for TPU: convolution, instance norm, ReLU, max pool.

The convolution is folded (see `folding`), and its result stays folded. The
activations are pooled before they are normalised (see `placed_pool`). That
gives the same maxima, as the norm and the ReLU are monotonic: where the norm's
scale is negative, the smallest activation becomes the maximum.

Choice: the convolution's result is rounded to bfloat16, where XLA may keep
float32 until after the norm. The values and gradients are as near to those of
float32 as the layers' are with such rounding, and of activations that are equal
the first one gets the gradient, as in XLA's pool. That meets equal values also
where the norm's result is rounded, and then takes the first of those.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hdc_jax.models import folding, placed_pool
from hdc_jax.models.cpu_lowering import Triple
from hdc_jax.models.folding import Folding, sum_frames, tile_frames
from hdc_jax.models.placed_pool import FRAMES, POOLED

_LANES = 128


def suits(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> bool:
  """Whether the function of `make` can compute a stem.

  Args:
    x: Clips [B, T, H, W, C].
    kernel: Kernel [kT, kH, kW, C, O].
    strides: Strides of the convolution over T, H and W.
    padding: Number of zeros at each end of T, H and W.
  """
  how = Folding.of(x, kernel, strides, padding, FRAMES)
  frames, height, width = how.counts
  *_, channels, features = kernel.shape
  return (
    x.dtype == jnp.bfloat16
    and how.taken * strides[1] * strides[2] * channels <= _LANES
    and features * POOLED == _LANES
    and frames % FRAMES == height % 2 == width % 2 == 0
    and 0 < max(height, width) <= placed_pool.MOST
  )


class _Norm(NamedTuple):
  """What the two passes need of the stem, float32.

  Attributes:
    mean: Mean of each clip and channel [B, C].
    rate: Reciprocal of the standard deviation [B, C].
    gain: Slope of the norm [B, C].
    offset: Offset of the norm [B, C].
    keys: Maxima with their places, see `placed_pool.maxima`.
    maxima: The maxima [G, H/2, W/2, B, 2·C].
  """

  mean: jax.Array
  rate: jax.Array
  gain: jax.Array
  offset: jax.Array
  keys: jax.Array
  maxima: jax.Array

  def apply(self) -> jax.Array:
    """The normalised maxima."""
    return self.maxima * tile_frames(self.gain, POOLED) + tile_frames(
      self.offset, POOLED
    )


def _normalise(
  y: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> _Norm:
  """The statistics of `norm.InstanceNorm` and the maxima of activations.

  Args:
    y: Activations [G, H, W, B, 4·C].
    scale: Scale of the norm [C].
    bias: Bias of the norm [C].
    epsilon: What is added to the variance.
  """
  groups, height, width, _, lanes = y.shape
  middle = y[groups // 2, height // 2, width // 2, :, : lanes // FRAMES]
  middle = middle.astype(jnp.float32)
  shifted = y.astype(jnp.float32) - tile_frames(middle, FRAMES)
  count = groups * height * width * FRAMES
  mean, square = (
    sum_frames(jnp.sum(x, (0, 1, 2)), FRAMES) / count
    for x in (shifted, shifted * shifted)
  )
  variance = jnp.maximum(square - mean * mean, 0.0)
  rate = jax.lax.rsqrt(variance + epsilon)
  gain, mean = scale * rate, middle + mean
  sign = jnp.where(scale < 0, -1.0, 1.0)
  keys = placed_pool.maxima(y, sign)
  maxima = placed_pool.values(keys, sign)
  return _Norm(mean, rate, gain, bias - mean * gain, keys, maxima)


def make(
  *, strides: Triple, padding: Triple, epsilon: float
) -> Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]:
  """Makes the function that computes a stem.

  Args:
    strides: Strides of the convolution over T, H and W.
    padding: Number of zeros at each end of T, H and W.
    epsilon: What is added to the variance.

  Returns:
    A differentiable function of clips [B, T, H, W, C] and a kernel
    [kT, kH, kW, C, O], both bfloat16, and of scale and bias of the norm,
    float32 [O], that returns the pooled features [B, T', H', W', O]. Clips and
    kernel may be float32 if the convolution's values fit into bfloat16.
  """

  def fold(x: jax.Array, kernel: jax.Array) -> Folding:
    return Folding.of(x, kernel, strides, padding, FRAMES)

  @jax.custom_vjp
  def stem(
    x: jax.Array, kernel: jax.Array, scale: jax.Array, bias: jax.Array
  ) -> jax.Array:
    return forward(x, kernel, scale, bias)[0]

  def forward(
    x: jax.Array, kernel: jax.Array, scale: jax.Array, bias: jax.Array
  ) -> tuple[jax.Array, tuple]:
    how = fold(x, kernel)
    folded = how.fold_kernel(kernel)
    y = folding.conv(how.fold_input(x, folded), folded)
    norm = _normalise(y, scale, bias, epsilon)
    z = jnp.maximum(norm.apply().astype(x.dtype), 0)
    return folding.unfold_frames(z, POOLED), (x, kernel, y, norm)

  def backward(residuals: tuple, cotangent: jax.Array) -> tuple:
    x, kernel, y, norm = residuals
    g = folding.fold_frames(cotangent, POOLED).astype(jnp.float32)
    phases, by_scale, by_bias = _backward(y, norm, g)
    how = fold(x, kernel)
    folded, unfold = jax.vjp(how.fold_kernel, kernel.astype(jnp.float32))
    inputs, unfold_input = jax.vjp(lambda x: how.fold_input(x, folded), x)
    by_folded = sum(
      folding.kernel_gradient(
        jax.lax.slice_in_dim(
          jax.lax.slice_in_dim(inputs, h, inputs.shape[1] - 1 + h, axis=1),
          w,
          inputs.shape[2] - 1 + w,
          axis=2,
        ),
        phases[h][w],
        step=2,
      )
      for h in range(2)
      for w in range(2)
    )
    # Training does not need the gradient of the clips, and does not compute it.
    whole = jnp.stack([jnp.stack(row, axis=3) for row in phases], axis=2)
    _, by_input = jax.vjp(
      lambda inputs: folding.conv(inputs, folded.astype(x.dtype)), inputs
    )
    (by_x,) = unfold_input(*by_input(whole.reshape(y.shape)))
    (by_kernel,) = unfold(by_folded)
    return by_x, by_kernel.astype(kernel.dtype), by_scale, by_bias

  stem.defvjp(forward, backward)
  return stem


def _backward(
  y: jax.Array, norm: _Norm, g: jax.Array
) -> tuple[list[list[jax.Array]], jax.Array, jax.Array]:
  """The gradients of norm, ReLU and pool.

  Args:
    y: Activations [G, H, W, B, 4·C].
    norm: What the forward pass made of them.
    g: Gradient of the result, float32 [G, H/2, W/2, B, 2·C].

  Returns:
    The gradients of the activations, of every second row and column: a list
    by the first row of lists by the first column. And the gradients of scale
    and bias.
  """
  g = jnp.where(norm.apply() > 0, g, 0.0)
  normal = norm.maxima - tile_frames(norm.mean, POOLED)
  normal *= tile_frames(norm.rate, POOLED)
  by_bias, by_scale = (
    sum_frames(jnp.sum(terms, (0, 1, 2)), POOLED) for terms in (g, g * normal)
  )
  count = y.shape[0] * y.shape[1] * y.shape[2] * FRAMES
  slope = -norm.gain * norm.rate * by_scale / count
  constant = -norm.gain * by_bias / count - slope * norm.mean
  sent = placed_pool.send_back(norm.keys, g)
  gain, slope, constant = (
    tile_frames(part, FRAMES) for part in (norm.gain, slope, constant)
  )

  def gradient(h: int, w: int) -> jax.Array:
    part = y[:, h::2, w::2].astype(jnp.float32)
    back = placed_pool.received(sent, (h, w))
    return (gain * back + slope * part + constant).astype(y.dtype)

  phases = [[gradient(h, w) for w in range(2)] for h in range(2)]
  return phases, jnp.sum(by_scale, 0), jnp.sum(by_bias, 0)
