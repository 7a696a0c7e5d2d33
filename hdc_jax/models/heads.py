"""What is put on top of an endpoint."""

import flax.linen as nn
import jax
import jax.numpy as jnp

# The endpoint that ends every backbone.
LAST = "block5"

POOLS = {"space": (2, 3), "space_time": (1, 2, 3)}


def average_pool(features: jax.Array, pool: str) -> jax.Array:
  """Averages [B, T, H, W, C] features over space or over space and time.

  Returns:
    [B, N, C] float32, N temporal positions: T for 'space', 1 for 'space_time'.
  """
  pooled = jnp.mean(features.astype(jnp.float32), axis=POOLS[pool])
  return pooled.reshape(pooled.shape[0], -1, pooled.shape[-1])


def cell_pool(features: jax.Array) -> jax.Array:
  """Maxima of 1×2×2 positions, flattened.

  As in the retrieval of video clip order prediction; a side of 1 stays.

  Args:
    features: [B, T, H, W, C].

  Returns:
    [B, T · H/2 · W/2 · C].
  """
  window = (1, min(2, features.shape[2]), min(2, features.shape[3]))
  pooled = nn.max_pool(features, window, window)
  return pooled.reshape(len(pooled), -1)


class Projection(nn.Module):
  """A fully connected layer with bias and no activation, L2-normalised.

  Hidden layers before it are each followed by batch norm over the global batch
  and a ReLU (CVRL: three of 2048; HDC and DSM have none).

  Attributes:
    dim: Embedding width D (128 in the papers).
    hidden: Widths of the hidden layers.
  """

  dim: int
  hidden: tuple[int, ...] = ()

  @nn.compact
  def __call__(self, features: jax.Array, train: bool = False) -> jax.Array:
    """[..., C] float32 features → [..., D] float32 embeddings of norm 1."""
    x = features
    for width in self.hidden:
      x = nn.Dense(width, precision=jax.lax.Precision.HIGHEST)(x)
      x = nn.BatchNorm(not train, momentum=0.997, epsilon=1e-5)(x)
      x = nn.relu(x)
    x = nn.Dense(self.dim, precision=jax.lax.Precision.HIGHEST)(x)
    # The rsqrt of a clamped square, so that a zero vector has a gradient.
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(square, 1e-12))


class Classifier(nn.Module):
  """A backbone, global average pooling, dropout and one linear layer.

  As HDC is fine-tuned (Section 4).

  Attributes:
    backbone: From clips to endpoints, of which the last is used.
    classes: C of them.
    dropout: The part of the pooled features that is dropped in training.
  """

  backbone: nn.Module
  classes: int
  dropout: float = 0.5

  @nn.compact
  def __call__(self, views: jax.Array, train: bool = False) -> jax.Array:
    """Classifies the only view of each video.

    Args:
      views: [B, 1, T, H, W, 3] in [-1, 1].
      train: Whether to drop features (with the key 'dropout'), and batch norm
        uses the batch's statistics.

    Returns:
      Logits, float32 [B, C].
    """
    features = self.backbone(views[:, 0], train)[LAST]
    pooled = average_pool(features, "space_time")[:, 0]
    pooled = nn.Dropout(self.dropout, deterministic=not train)(pooled)
    dense = nn.Dense(
      self.classes, precision=jax.lax.Precision.HIGHEST, name="classifier"
    )
    return dense(pooled)
