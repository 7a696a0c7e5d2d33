"""3D convolution and max pooling, lowered by platform.

XLA's own operations are fast on TPU and GPU. On CPU their gradients are not
(those of strided convolutions are pathological), so there a convolution becomes
a sum over temporal taps of 2D convolutions, or patches times a matrix, and a
maximum is taken over slices. The parameters are the same everywhere: a
checkpoint moves between platforms.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Triple = tuple[int, int, int]

# Up to this many output pixels per frame, patches beat taps on a CPU: a 2D
# convolution of a plane this small is slow (8 against 100 GFLOP/s at 2×2).
_MAX_PATCH_PIXELS = 8


def _pad(x: jax.Array, padding: Triple) -> jax.Array:
  return jnp.pad(x, ((0, 0), *((p, p) for p in padding), (0, 0)))


def _output_shape(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> Triple:
  """The positions over T, H, W of a convolution of `x`, before padding."""
  sizes = zip(x.shape[1:4], kernel.shape[:3], strides, padding, strict=True)
  return tuple((size + 2 * p - k) // s + 1 for size, k, s, p in sizes)


def _tap(
  x: jax.Array, start: int, count: int, stride: int, axis: int
) -> jax.Array:
  return jax.lax.slice_in_dim(
    x, start, start + (count - 1) * stride + 1, stride, axis
  )


def conv_xla(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """The convolution as XLA's own operation."""
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    strides,
    [(p, p) for p in padding],
    dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
  )


def conv_taps(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """The convolution as a sum over temporal taps of 2D convolutions."""
  frames, _, _ = _output_shape(x, kernel, strides, padding)
  x = _pad(x, (padding[0], 0, 0))
  total = 0
  for t, kernel_2d in enumerate(kernel):
    tap = _tap(x, t, frames, strides[0], axis=1)
    y = jax.lax.conv_general_dilated(
      tap.reshape(-1, *x.shape[2:]),
      kernel_2d,
      strides[1:],
      [(p, p) for p in padding[1:]],
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    total += y.reshape(x.shape[0], frames, *y.shape[1:])
  return total


def conv_patches(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """The convolution as gathered patches times the kernel as a matrix.

  Needs `prod(kernel.shape[:3])` times the memory of the output positions'
  inputs while it runs.
  """
  counts = _output_shape(x, kernel, strides, padding)
  x = _pad(x, padding)
  patches = []
  for taps in itertools.product(*map(range, kernel.shape[:3])):
    patch = x
    for axis, (tap, count, stride) in enumerate(
      zip(taps, counts, strides, strict=True), start=1
    ):
      patch = _tap(patch, tap, count, stride, axis)
    patches.append(patch)
  matrix = kernel.reshape(-1, kernel.shape[-1])
  return jnp.concatenate(patches, axis=-1) @ matrix


def conv_cpu(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """The faster of the CPU's two lowerings for these shapes."""
  _, height, width = _output_shape(x, kernel, strides, padding)
  small = height * width <= _MAX_PATCH_PIXELS
  lowering = conv_patches if small else conv_taps
  return lowering(x, kernel, strides, padding)


def by_platform(cpu: Callable, default: Callable) -> Callable:
  """A function that is lowered one way on CPU and another elsewhere.

  The platform is that which a program is compiled for, not the one it is
  compiled on. It is chosen apart from differentiation, so that only the
  arguments are kept for the backward pass, on any platform.

  Args:
    cpu: A differentiable function of arrays.
    default: The same function, for all other platforms.
  """

  @jax.custom_vjp
  def call(*args: jax.Array) -> jax.Array:
    return jax.lax.platform_dependent(*args, cpu=cpu, default=default)

  def forward(*args: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    return call(*args), args

  def backward(args: tuple[jax.Array, ...], cotangent: jax.Array) -> Any:
    def gradient(function: Callable) -> Callable:
      return lambda cotangent, *args: jax.vjp(function, *args)[1](cotangent)

    return jax.lax.platform_dependent(
      cotangent, *args, cpu=gradient(cpu), default=gradient(default)
    )

  call.defvjp(forward, backward)
  return call


def conv3d(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """3D convolution, lowered as suits the platform it is compiled for.

  Args:
    x: [B, T, H, W, C].
    kernel: [kT, kH, kW, C, O].
    strides: Over T, H, W.
    padding: Zeros on both sides of T, H, W.

  Returns:
    [B, T', H', W', O].
  """
  shape = {"strides": strides, "padding": padding}
  return by_platform(
    functools.partial(conv_cpu, **shape), functools.partial(conv_xla, **shape)
  )(x, kernel)


def pool_maxima(x: jax.Array) -> jax.Array:
  """`max_pool` as maxima of shifted slices, an axis at a time.

  XLA's scatter of the gradient is slow on CPU (4 times this).
  """
  for axis in (3, 2, 1):
    padding = [(0, 0)] * x.ndim
    padding[axis] = (1, 1)
    count = (x.shape[axis] - 1) // 2 + 1
    x = jnp.pad(x, padding, constant_values=-jnp.inf)
    taps = [_tap(x, start, count, 2, axis) for start in range(3)]
    x = functools.reduce(jnp.maximum, taps)
  return x


def pool_xla(x: jax.Array) -> jax.Array:
  """`max_pool` as XLA's own operation."""
  return nn.max_pool(x, (3, 3, 3), (2, 2, 2), ((1, 1),) * 3)


def max_pool(x: jax.Array) -> jax.Array:
  """Maxima of 3×3×3 with stride 2 and padding 1, over T, H, W.

  Args:
    x: [B, T, H, W, C].
  """
  return by_platform(pool_maxima, pool_xla)(x)


class Conv3D(nn.Module):
  """3D convolution without bias (a norm always follows).

  Attributes:
    features: Output channels.
    kernel_size: (T, H, W), odd; padded so that stride 1 keeps the size.
    strides: Over T, H, W.
    dtype: Of the computation; parameters are float32.
  """

  features: int
  kernel_size: Sequence[int]
  strides: Sequence[int] = (1, 1, 1)
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, T, H, W, C] → [B, T', H', W', features]."""
    kernel = self.param(
      "kernel",
      nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
      (*self.kernel_size, x.shape[-1], self.features),
      jnp.float32,
    )
    return conv3d(
      x.astype(self.dtype),
      kernel.astype(self.dtype),
      tuple(self.strides),
      tuple(k // 2 for k in self.kernel_size),
    )
