"""Contrastive losses: pure functions of embeddings, without collectives.

Under `jit` with batch-sharded arguments the product of every anchor with every
key already spans all devices: the compiler gathers the keys, so the negatives
are global and no function here knows about devices.

All take L2-normalised float32 embeddings [B, N, D] of B videos at N temporal
positions, contrast each position apart, and return the mean over videos and
positions, so that the learning rate does not depend on the batch. With it comes
the accuracy: how often no negative is nearer to the anchor than its positive.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def info_nce(
  anchors: Float[Array, "b n d"],
  keys: Float[Array, "b n d"],
  negatives: Float[Array, "b n d"] | None = None,
  *,
  temperature: float,
  symmetric: bool = False,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
  """InfoNCE over the batch (HDC, Eqs. 1-5; with `negatives`, DSM's).

  The positive of anchor `i` at position `n` is key `i` at the same position;
  the keys of all other videos at that position are its negatives.

  Args:
    anchors: What is to find its key.
    keys: The other variant of the same videos, in the same order.
    negatives: One more negative for the anchor of the same video alone: DSM's
      variant with the scene kept and the motion broken.
    temperature: τ, the softmax temperature (0.07 in both papers).
    symmetric: Whether to average with the loss of keys against anchors, which
      leaves `negatives` out. HDC's equations go one way.

  Returns:
    The loss and the accuracy.
  """
  logits = _products(anchors, keys) / temperature
  candidates = logits
  if negatives is not None:
    own = jnp.sum(anchors * negatives, axis=2).T / temperature
    candidates = jnp.concatenate([logits, own[..., None]], axis=2)
  loss, accuracy = _identify(candidates)
  if symmetric:
    backward, _ = _identify(logits.swapaxes(1, 2))
    loss = (loss + backward) / 2
  return loss, accuracy


def nt_xent(
  first: Float[Array, "b n d"],
  second: Float[Array, "b n d"],
  *,
  temperature: float,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
  """NT-Xent with negatives from both views (SimCLR, Eq. 1; CVRL, Eq. 1).

  Each of the 2B embeddings is to find the other view of its video among the
  2B - 1 others; the mean over all 2B is returned. Choice: CVRL's reference code
  adds the two directions' means, which is twice this; a term has a weight.

  Args:
    first: One view of every video.
    second: The other, in the same order.
    temperature: τ, the softmax temperature (0.1 in CVRL).

  Returns:
    The loss and the accuracy.
  """
  itself = jnp.eye(first.shape[0], dtype=bool)

  def one_way(
    anchors: Float[Array, "b n d"], keys: Float[Array, "b n d"]
  ) -> tuple[Float[Array, ""], Float[Array, ""]]:
    within = jnp.where(itself, -jnp.inf, _products(anchors, anchors))
    across = _products(anchors, keys)
    return _identify(jnp.concatenate([across, within], axis=2) / temperature)

  forward, backward = one_way(first, second), one_way(second, first)
  loss, accuracy = ((a + b) / 2 for a, b in zip(forward, backward, strict=True))
  return loss, accuracy


def triplet(
  anchors: Float[Array, "b n d"],
  positives: Float[Array, "b n d"],
  negatives: Float[Array, "b n d"],
  *,
  margin: float,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
  """Margin loss on Euclidean distances within and between videos (DSM).

  `max(0, margin + |a - p| - |a - n|)` with the negative of the anchor's own
  video, plus the same with those of other videos. Choice: the mean over all
  other videos of the batch. The reference code pairs each anchor with one other
  video, of which this is the expectation, and weighs both summands equally.

  Args:
    anchors: Of every video.
    positives: The motion kept, the scene disturbed.
    negatives: The scene kept, the motion broken.
    margin: By how much negatives are to be farther (0.5 in the reference code).

  Returns:
    The loss and the accuracy.
  """
  batch, positions, _ = anchors.shape
  itself = jnp.eye(batch, dtype=bool)
  near = _root(jnp.sum((anchors - positives) ** 2, axis=2)).T[..., None]
  own = _root(jnp.sum((anchors - negatives) ** 2, axis=2)).T[..., None]
  # Differences are exact for close pairs; this needs no [B, B, D].
  others = _root(2.0 - 2.0 * _products(anchors, negatives))
  far = jnp.where(itself, own, others)
  hinges = jnp.maximum(margin + near - far, 0.0)
  weights = jnp.where(itself, 1.0, 1.0 / max(batch - 1, 1))
  loss = jnp.sum(weights * hinges) / (batch * positions)
  return loss, jnp.mean(jnp.all(near <= far, axis=2))


def _products(
  anchors: Float[Array, "b n d"], keys: Float[Array, "b n d"]
) -> Float[Array, "n b b"]:
  """Of every anchor with every key at its position."""
  return jnp.einsum(
    "bnd,cnd->nbc", anchors, keys, precision=jax.lax.Precision.HIGHEST
  )


def _identify(
  logits: Float[Array, "n b c"],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
  """Mean cross-entropy and accuracy of finding column `i` in row `i`."""
  positives = jnp.diagonal(logits, axis1=1, axis2=2)
  loss = jnp.mean(jax.nn.logsumexp(logits, axis=2) - positives)
  return loss, jnp.mean(positives >= jnp.max(logits, axis=2))


def _root(squares: Float[Array, "..."]) -> Float[Array, "..."]:
  """Square root with gradient 0, not infinity, at 0."""
  return jnp.sqrt(jnp.maximum(squares, 1e-12))
