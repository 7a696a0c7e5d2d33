"""3D convolution and max pooling, with an implementation for each platform.

On TPU and GPU these are XLA's own operations; on CPU they are the faster ones
of `cpu_lowering`. The parameters are the same everywhere, so that a checkpoint
can move between platforms.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hdc_jax.errors import ConfigError
from hdc_jax.models import cpu_lowering
from hdc_jax.models.cpu_lowering import Triple

# A function of features, kernel size, strides and `name=` that returns the
# module of a convolution.
Convolution = Callable[..., nn.Module]

# A function of features [B, T, H, W, C], the size of a window over T, H and W,
# and its strides, that returns features and the number of zeros which are then
# added at each end of T, H and W.
Padding = Callable[
  [jax.Array, Sequence[int], Sequence[int]], tuple[jax.Array, Triple]
]


def pad_evenly(
  x: jax.Array, window: Sequence[int], strides: Sequence[int]
) -> tuple[jax.Array, Triple]:
  """Half of the window at each end, as networks of PyTorch pad.

  Args:
    x: Features [B, T, H, W, C].
    window: Size of the window over T, H and W.
    strides: Unused; all paddings are called alike.

  Returns:
    The features, and the number of zeros at each end.
  """
  del strides
  t, h, w = ((size - 1) // 2 for size in window)
  return x, (t, h, w)


def pad_as_tensorflow(
  x: jax.Array, window: Sequence[int], strides: Sequence[int]
) -> tuple[jax.Array, Triple]:
  """TensorFlow's padding SAME: ⌈size/stride⌉ positions, the odd zero last.

  Before a max pool the features must not be negative, as the zero counts.

  Args:
    x: Features [B, T, H, W, C].
    window: Size of the window over T, H and W.
    strides: Strides over T, H and W.

  Returns:
    The features, with one more position at the end of those axes that need an
    odd number of zeros; and the number of zeros at each end.

  Example:
    >>> pad_as_tensorflow(jnp.ones((1, 4, 5, 1, 1)), (7, 3, 1), (2, 2, 1))[1]
    (2, 1, 0)
  """
  sizes = zip(x.shape[1:4], window, strides, strict=True)
  needed = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in sizes]
  if any(count % 2 for count in needed):
    ends = ((0, count % 2) for count in needed)
    x = jnp.pad(x, ((0, 0), *ends, (0, 0)))
  t, h, w = (count // 2 for count in needed)
  return x, (t, h, w)


def conv_xla(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """The convolution as XLA's own operation; see `conv3d`."""
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    strides,
    [(p, p) for p in padding],
    dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
  )


def pool_xla(
  x: jax.Array, window: Triple, strides: Triple, padding: Triple
) -> jax.Array:
  """The max pool as XLA's own operation; see `max_pool`."""
  return nn.max_pool(x, window, strides, [(p, p) for p in padding])


def by_platform(
  cpu: Callable, default: Callable, cpu_gradients: Callable | None = None
) -> Callable:
  """A function with one implementation on CPU and another elsewhere.

  What counts is the platform that a program is compiled for, not the one that
  compiles it. The backward pass chooses its implementation separately, and
  needs the arguments of the function only, on any platform.

  Args:
    cpu: Implementation for CPU, a differentiable function of arrays.
    default: Implementation of the same function for all other platforms.
    cpu_gradients: Function of the cotangent and of the arguments that returns
      the gradients with respect to the arguments on CPU; by default `cpu` is
      differentiated.

  Returns:
    The differentiable function.
  """

  def gradients_of(function: Callable) -> Callable:
    return lambda cotangent, *args: jax.vjp(function, *args)[1](cotangent)

  @jax.custom_vjp
  def call(*args: jax.Array) -> jax.Array:
    return jax.lax.platform_dependent(*args, cpu=cpu, default=default)

  def forward(*args: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    return call(*args), args

  def backward(args: tuple[jax.Array, ...], cotangent: jax.Array) -> Any:
    return jax.lax.platform_dependent(
      cotangent,
      *args,
      cpu=cpu_gradients or gradients_of(cpu),
      default=gradients_of(default),
    )

  call.defvjp(forward, backward)
  return call


def conv3d(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """3D convolution without bias.

  Args:
    x: Input [B, T, H, W, C].
    kernel: Kernel [kT, kH, kW, C, O] of the same dtype.
    strides: Strides over T, H and W.
    padding: Number of zeros added at each end of T, H and W.

  Returns:
    [B, T', H', W', O] of the same dtype.

  Example:
    >>> x, kernel = jnp.ones((1, 4, 6, 6, 3)), jnp.ones((3, 3, 3, 3, 5))
    >>> conv3d(x, kernel, strides=(1, 2, 2), padding=(1, 1, 1)).shape
    (1, 4, 3, 3, 5)
  """
  shape = {"strides": strides, "padding": padding}
  return by_platform(
    functools.partial(cpu_lowering.conv, **shape),
    functools.partial(conv_xla, **shape),
    functools.partial(cpu_lowering.conv_gradients, **shape),
  )(x, kernel)


def max_pool(
  x: jax.Array,
  window: Triple,
  strides: Triple,
  padding: Triple = (0, 0, 0),
) -> jax.Array:
  """Maxima over windows; positions at the end that fill no window are dropped.

  Args:
    x: Input [B, T, H, W, C].
    window: Size of the window over T, H and W.
    strides: Strides over T, H and W.
    padding: Number of positions added at each end of T, H and W, which never
      are the maximum.

  Returns:
    [B, T', H', W', C] of the same dtype.

  Raises:
    ConfigError: If the input has fewer frames or pixels than one window; the
      message names the config field that is too small.
  """
  fields = "data.frames", "model.size", "model.size"
  sizes = zip(fields, x.shape[1:4], window, padding, strict=True)
  for field, size, needed, pad in sizes:
    if size + 2 * pad < needed:
      raise ConfigError(
        f"config.{field} is too small for this backbone: a max pool over "
        f"{needed} positions receives {size}; raise it"
      )
  shape = {"window": window, "strides": strides, "padding": padding}
  return by_platform(
    functools.partial(cpu_lowering.max_pool, **shape),
    functools.partial(pool_xla, **shape),
  )(x)


class Conv3D(nn.Module):
  """3D convolution without bias, since a norm always follows.

  Attributes:
    features: Number of output channels.
    kernel_size: Size of the kernel over T, H and W, each odd. The input is
      padded so that stride 1 keeps its size.
    strides: Strides over T, H and W.
    dtype: Dtype of the computation; parameters are float32.
    pad: How the input is padded, `pad_evenly` or `pad_as_tensorflow`.
  """

  features: int
  kernel_size: Sequence[int]
  strides: Sequence[int] = (1, 1, 1)
  dtype: jnp.dtype = jnp.float32
  pad: Padding = pad_evenly

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Convolves [B, T, H, W, C] to [B, T', H', W', features] of `dtype`."""
    kernel = self.param(
      "kernel",
      nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
      (*self.kernel_size, x.shape[-1], self.features),
      jnp.float32,
    )
    t, h, w = self.strides
    x, padding = self.pad(x.astype(self.dtype), self.kernel_size, self.strides)
    return conv3d(x, kernel.astype(self.dtype), (t, h, w), padding)
