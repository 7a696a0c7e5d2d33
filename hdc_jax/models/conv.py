"""3D convolution and max pooling, lowered by platform.

XLA's own operations are kept everywhere but on CPU, where `lowering` is used.
The parameters are the same everywhere: a checkpoint moves between platforms.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hdc_jax.errors import ConfigError
from hdc_jax.models import cpu_lowering

# Makes a convolution from features, kernel size and strides, of `name=...`.
Convolution = Callable[..., nn.Module]


def conv_xla(
  x: jax.Array,
  kernel: jax.Array,
  strides: cpu_lowering.Triple,
  padding: cpu_lowering.Triple,
) -> jax.Array:
  """The convolution as XLA's own operation."""
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    strides,
    [(p, p) for p in padding],
    dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
  )


def pool_xla(
  x: jax.Array,
  window: cpu_lowering.Triple,
  strides: cpu_lowering.Triple,
  padding: cpu_lowering.Triple,
) -> jax.Array:
  """The max pool as XLA's own operation."""
  return nn.max_pool(x, window, strides, [(p, p) for p in padding])


def by_platform(
  cpu: Callable, default: Callable, cpu_gradients: Callable | None = None
) -> Callable:
  """A function that is lowered one way on CPU and another elsewhere.

  The platform is that which a program is compiled for, not the one it is
  compiled on. It is chosen apart from differentiation, so that only the
  arguments are kept for the backward pass, on any platform.

  Args:
    cpu: A differentiable function of arrays.
    default: The same function, for all other platforms.
    cpu_gradients: From the cotangent and the arguments to their gradients on
      CPU, if they are not to be found by differentiating `cpu`.
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
  x: jax.Array,
  kernel: jax.Array,
  strides: cpu_lowering.Triple,
  padding: cpu_lowering.Triple,
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
    functools.partial(cpu_lowering.conv, **shape),
    functools.partial(conv_xla, **shape),
    functools.partial(cpu_lowering.conv_gradients, **shape),
  )(x, kernel)


def max_pool(
  x: jax.Array,
  window: Sequence[int],
  strides: Sequence[int],
  padding: Sequence[int] = (0, 0, 0),
) -> jax.Array:
  """Maxima over windows; positions that do not fill one are left out.

  Args:
    x: [B, T, H, W, C].
    window: Over T, H, W.
    strides: Over T, H, W.
    padding: On both sides of T, H, W.

  Raises:
    ConfigError: If not even one window is filled.
  """
  fields = "data.frames", "model.size", "model.size"
  sizes = zip(fields, x.shape[1:4], window, padding, strict=True)
  for field, size, needed, pad in sizes:
    if size + 2 * pad < needed:
      raise ConfigError(
        f"config.{field}: too few for this backbone: a max pool over {needed} "
        f"gets {size}; raise it"
      )
  shape = {"window": window, "strides": strides, "padding": padding}
  return by_platform(
    functools.partial(cpu_lowering.max_pool, **shape),
    functools.partial(pool_xla, **shape),
  )(x)


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
