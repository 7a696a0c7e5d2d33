"""Normalisations by name; their statistics are float32 for any activations."""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

# A function of `name=` that returns the module of a normalisation.
Norm = Callable[..., nn.Module]

EPSILON = 1e-5


class InstanceNorm(nn.Module):
  """Instance norm: statistics per clip and channel over T, H and W.

  It computes what `nn.InstanceNorm` does. Choice: scale and bias are combined
  with the statistics before they are applied to the activations, which saves a
  third of the passes over the activations in the backward pass. And mean and
  variance are those of the differences from one activation of the channel, that
  in the middle of the clip: E[x²] - E[x]² loses all digits where the mean is
  1,000 standard deviations, and a second pass for the variance costs a third
  more. Activations at the border would be a worse choice, as padding makes them
  unlike the others.

  Attributes:
    dtype: Dtype of the result.
    epsilon: What is added to the variance.
  """

  dtype: jnp.dtype = jnp.float32
  epsilon: float = EPSILON

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Normalises [B, T, H, W, C] to the same shape, of `dtype`."""
    scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
    bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
    return normalise(x, scale, bias, self.epsilon).astype(self.dtype)


def normalise(
  x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> jax.Array:
  """Instance norm as a function, see `InstanceNorm`.

  Args:
    x: Features [B, T, H, W, C].
    scale: Scale [C].
    bias: Bias [C].
    epsilon: What is added to the variance.

  Returns:
    float32 [B, T, H, W, C].
  """
  x = x.astype(jnp.float32)
  t, h, w = (side // 2 for side in x.shape[1:4])
  # The result does not depend on it, so it has no gradient.
  middle = jax.lax.stop_gradient(x[:, t, h, w, :][:, None, None, None])
  shifted = x - middle
  mean, square = (
    jnp.mean(y, (1, 2, 3), keepdims=True)
    for y in (shifted, jnp.square(shifted))
  )
  variance = jnp.maximum(square - jnp.square(mean), 0.0)
  gain = scale * jax.lax.rsqrt(variance + epsilon)
  return x * gain + (bias - (middle + mean) * gain)


class GroupNorm(nn.Module):
  """Group norm: statistics per clip and group of channels over T, H and W.

  Choice: the number of groups is the greatest common divisor of 32 and the
  number of channels. Group norm has 32 groups in its paper, which some layers
  cannot have: the 83 middle channels of R(2+1)D's stem make one group.

  Attributes:
    dtype: Dtype of the result.
    epsilon: What is added to the variance.
  """

  dtype: jnp.dtype = jnp.float32
  epsilon: float = EPSILON

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Normalises [B, T, H, W, C] to the same shape, of `dtype`."""
    norm = nn.GroupNorm(
      math.gcd(32, x.shape[-1]),
      epsilon=self.epsilon,
      dtype=self.dtype,
      use_fast_variance=False,  # see `InstanceNorm`
    )
    nn.share_scope(self, norm)
    return norm(x)


def instance_norm(dtype: jnp.dtype, train: bool, epsilon: float) -> Norm:
  """Instance norm, as in HDC: a batch's videos do not influence each other.

  Args:
    dtype: Dtype of the activations.
    train: Unused; all norms are called alike.
    epsilon: What is added to the variance.

  Returns:
    The function of `name=` that makes an `InstanceNorm`.
  """
  del train
  return functools.partial(InstanceNorm, dtype=dtype, epsilon=epsilon)


def batch_norm(dtype: jnp.dtype, train: bool, epsilon: float) -> Norm:
  """Batch norm: statistics per channel over the global batch, T, H and W.

  Args:
    dtype: Dtype of the activations.
    train: Whether to normalise by the statistics of the batch and to update
      their running means (momentum 0.9, as in CVRL's official configuration);
      otherwise the running means are used.
    epsilon: What is added to the variance.

  Returns:
    The function of `name=` that makes an `nn.BatchNorm`.
  """
  return functools.partial(
    nn.BatchNorm,
    use_running_average=not train,
    momentum=0.9,
    epsilon=epsilon,
    dtype=dtype,
  )


def group_norm(dtype: jnp.dtype, train: bool, epsilon: float) -> Norm:
  """Group norm.

  Args:
    dtype: Dtype of the activations.
    train: Unused; all norms are called alike.
    epsilon: What is added to the variance.

  Returns:
    The function of `name=` that makes a `GroupNorm`.
  """
  del train
  return functools.partial(GroupNorm, dtype=dtype, epsilon=epsilon)


NORMS: dict[str, Callable[[jnp.dtype, bool, float], Norm]] = {
  "instance": instance_norm,
  "batch": batch_norm,
  "group": group_norm,
}


def make_norm(
  name: str, dtype: jnp.dtype, train: bool, epsilon: float = EPSILON
) -> Norm:
  """The function that makes the norm of each layer of a network.

  Args:
    name: Name of the normalisation, a key of `NORMS`.
    dtype: Dtype of the activations.
    train: Whether batch norm uses, and updates, the statistics of the batch.
    epsilon: What is added to the variance.

  Returns:
    A function of `name=` that returns a module.

  Raises:
    KeyError: If there is no such norm; `BackboneOptions` checks the name.

  Example:
    >>> make_norm("group", jnp.float32, train=False)(name="norm1")
    GroupNorm(
        # attributes
        dtype = float32
        epsilon = 1e-05
    )
  """
  return NORMS[name](dtype, train, epsilon)
