"""Pooling and layers between an endpoint and an embedding or class scores."""

import flax.linen as nn
import jax
import jax.numpy as jnp

# The last endpoint of every backbone.
LAST = "block5"

# The axes of [B, T, H, W, C] that each kind of pooling averages over.
POOLS = {"space": (2, 3), "space_time": (1, 2, 3)}


def average_pool(features: jax.Array, pool: str) -> jax.Array:
  """Averages features over space, or over space and time.

  Args:
    features: Features [B, T, H, W, C].
    pool: 'space' or 'space_time', see `POOLS`.

  Returns:
    float32 [B, N, C] at N temporal positions: T for 'space', 1 for
    'space_time'.

  Raises:
    KeyError: If there is no such kind of pooling.

  Example:
    >>> features = jnp.ones((2, 4, 7, 7, 512))
    >>> average_pool(features, "space").shape
    (2, 4, 512)
    >>> average_pool(features, "space_time").shape
    (2, 1, 512)
  """
  pooled = jnp.mean(features.astype(jnp.float32), axis=POOLS[pool])
  return pooled.reshape(pooled.shape[0], -1, pooled.shape[-1])


def cell_pool(features: jax.Array) -> jax.Array:
  """Takes the maxima of cells of 1×2×2 positions, and flattens them.

  This is the feature vector by which video clip order prediction (Xu et al.,
  CVPR 2019) retrieves videos.

  Args:
    features: Features [B, T, H, W, C]. A height or width of 1 is kept.

  Returns:
    [B, T · ⌊H/2⌋ · ⌊W/2⌋ · C] of the same dtype.
  """
  window = (1, min(2, features.shape[2]), min(2, features.shape[3]))
  pooled = nn.max_pool(features, window, window)
  return pooled.reshape(len(pooled), -1)


class Projection(nn.Module):
  """A projection head: fully connected layers whose result is L2-normalised.

  Each hidden layer is followed by batch norm over the global batch and a ReLU.
  The last layer has a bias and no activation. CVRL has three hidden layers of
  width 2048; HDC and DSM have none.

  Attributes:
    dim: Width D of the embeddings (128 in the papers).
    hidden: Widths of the hidden layers.
  """

  dim: int
  hidden: tuple[int, ...] = ()

  @nn.compact
  def __call__(self, features: jax.Array, train: bool = False) -> jax.Array:
    """Projects features to embeddings.

    Args:
      features: float32 [..., C].
      train: Whether the batch norms use the statistics of the batch.

    Returns:
      float32 [..., D], embeddings of norm 1.
    """
    x = features
    for width in self.hidden:
      x = nn.Dense(width, precision=jax.lax.Precision.HIGHEST)(x)
      x = nn.BatchNorm(not train, momentum=0.997, epsilon=1e-5)(x)
      x = nn.relu(x)
    x = nn.Dense(self.dim, precision=jax.lax.Precision.HIGHEST)(x)
    # The square is clamped so that the gradient of a zero vector is finite.
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(square, 1e-12))


class Classifier(nn.Module):
  """A backbone, global average pooling, dropout and one linear layer.

  This is how HDC is fine-tuned (Section 4 of the paper).

  Attributes:
    backbone: Network from clips to endpoints, of which the last is classified.
    classes: Number of classes C.
    dropout: Fraction of the pooled features that is dropped in training.
  """

  backbone: nn.Module
  classes: int
  dropout: float = 0.5

  @nn.compact
  def __call__(self, views: jax.Array, train: bool = False) -> jax.Array:
    """Classifies the only view of each video.

    Args:
      views: Views [B, 1, T, H, W, 3] in [-1, 1].
      train: Whether features are dropped (by the random key 'dropout') and
        batch norm uses the statistics of the batch.

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
