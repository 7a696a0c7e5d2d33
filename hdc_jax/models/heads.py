"""What is put on top of an endpoint."""

import flax.linen as nn
import jax
import jax.numpy as jnp

POOLS = {"space": (2, 3), "space_time": (1, 2, 3)}


def average_pool(features: jax.Array, pool: str) -> jax.Array:
  """Averages [B, T, H, W, C] features over space or over space and time.

  Returns:
    [B, N, C] float32, N temporal positions: T for 'space', 1 for 'space_time'.
  """
  pooled = jnp.mean(features.astype(jnp.float32), axis=POOLS[pool])
  return pooled.reshape(pooled.shape[0], -1, pooled.shape[-1])


class Projection(nn.Module):
  """One fully connected layer with bias and no activation, L2-normalised.

  Attributes:
    dim: Embedding width D (128 in the papers).
  """

  dim: int

  @nn.compact
  def __call__(self, features: jax.Array) -> jax.Array:
    """[..., C] float32 features → [..., D] float32 embeddings of norm 1."""
    x = nn.Dense(self.dim, precision=jax.lax.Precision.HIGHEST)(features)
    # The rsqrt of a clamped square, so that a zero vector has a gradient.
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(square, 1e-12))
