"""Normalisations by name; statistics are float32 whatever the activations."""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

# Makes a normalisation of `name=...`.
Norm = Callable[..., nn.Module]

EPSILON = 1e-5


class InstanceNorm(nn.Module):
  """Per clip and channel over T, H, W, with scale and bias.

  As `nn.InstanceNorm`, but scale and bias join the statistics before these meet
  the activations: a third fewer passes over them backward.

  Attributes:
    dtype: Of the activations.
  """

  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, T, H, W, C] → the same."""
    scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
    bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
    x = x.astype(jnp.float32)
    mean, square = (
      jnp.mean(y, (1, 2, 3), keepdims=True) for y in (x, jnp.square(x))
    )
    variance = jnp.maximum(square - jnp.square(mean), 0.0)
    gain = scale * jax.lax.rsqrt(variance + EPSILON)
    return (x * gain + (bias - mean * gain)).astype(self.dtype)


class GroupNorm(nn.Module):
  """Per clip and group of channels over T, H, W, with scale and bias.

  Choice: 32 groups, or as many of them as divide the channels (R(2+1)D's
  middle channels are odd numbers: its stem's 83 make one group).

  Attributes:
    dtype: Of the activations.
  """

  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, T, H, W, C] → the same."""
    norm = nn.GroupNorm(
      math.gcd(32, x.shape[-1]), epsilon=EPSILON, dtype=self.dtype
    )
    nn.share_scope(self, norm)
    return norm(x)


def instance_norm(dtype: jnp.dtype, train: bool) -> Norm:
  """Per clip and channel over T, H, W, with scale and bias.

  HDC's choice: batch norm would let a batch's videos see each other.
  """
  del train
  return functools.partial(InstanceNorm, dtype=dtype)


def batch_norm(dtype: jnp.dtype, train: bool) -> Norm:
  """Per channel over the global batch, T, H, W, with scale and bias.

  In training by the batch's own statistics, whose running means (momentum 0.9,
  as CVRL's official configuration) are used otherwise.
  """
  return functools.partial(
    nn.BatchNorm,
    use_running_average=not train,
    momentum=0.9,
    epsilon=EPSILON,
    dtype=dtype,
  )


def group_norm(dtype: jnp.dtype, train: bool) -> Norm:
  """See `GroupNorm`."""
  del train
  return functools.partial(GroupNorm, dtype=dtype)


NORMS: dict[str, Callable[[jnp.dtype, bool], Norm]] = {
  "instance": instance_norm,
  "batch": batch_norm,
  "group": group_norm,
}


def make_norm(name: str, dtype: jnp.dtype, train: bool) -> Norm:
  """What makes a normalisation for each layer.

  Args:
    name: In `NORMS`.
    dtype: Of the activations.
    train: Whether batch norm uses, and updates, the batch's statistics.

  Raises:
    KeyError: If there is no such norm; the registry checks names before.
  """
  return NORMS[name](dtype, train)
