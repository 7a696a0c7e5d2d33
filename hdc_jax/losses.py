"""Contrastive losses: pure functions of embeddings, without collectives.

Under `jit` with batch-sharded arguments the product of every anchor with every
key already spans all devices: the compiler gathers the keys, so the negatives
are global and no function here knows about devices.

Every loss takes L2-normalised float32 embeddings [B, N, D] of B videos at N
temporal positions, contrasts the videos at each position separately, and
returns two float32 scalars: the loss, which is the mean over videos and
positions, so that the learning rate does not depend on the batch size; and the
accuracy, which is the share of anchors in [0, 1] whose positive is nearer than
every negative. A tie is no success: where all embeddings are equal, a network
has learned nothing.

None keeps the products of all anchors with all keys where those are many, see
`blocks`: memory does not grow with the square of the batch.

Every loss takes a `queue` of keys of earlier batches, see `key_queue`: further
negatives, which all anchors share. Without one, the batch alone has negatives.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from hdc_jax import blocks
from hdc_jax.key_queue import Queue


def info_nce(
  anchors: Float[Array, "b n d"],
  keys: Float[Array, "b n d"],
  negatives: Float[Array, "b n d"] | None = None,
  queue: Queue | None = None,
  *,
  temperature: float,
  symmetric: bool = False,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
  """InfoNCE over the batch (HDC, Eqs. 1-5; with `negatives`, DSM's loss).

  The positive of anchor `i` at position `n` is key `i` at the same position;
  the keys of all other videos at that position are its negatives.

  Args:
    anchors: float32 [B, N, D], the embeddings that are to be nearest to their
      own keys.
    keys: float32 [B, N, D], the embeddings of the other view of each video, in
      the same order.
    negatives: float32 [B, N, D], one additional negative for the anchor of the
      same video only. DSM takes the view that keeps the scene and breaks the
      motion.
    queue: Keys of earlier batches, further negatives of every anchor. Choice:
      the keys of the batch's other videos remain negatives; in MoCo, only those
      of the queue are.
    temperature: Softmax temperature τ > 0 (0.07 in both papers).
    symmetric: Whether to average with the loss of keys against anchors, in
      which `negatives` and `queue` have no part. HDC's equations go from
      anchors to keys only.

  Returns:
    The loss and the accuracy, float32 scalars.

  Example:
    Two videos whose anchors equal their own keys and are orthogonal to the
    others' keys: the loss is log(1 + exp(-1 / temperature)).

    >>> embeddings = jnp.eye(2)[:, None]  # B = 2 videos, N = 1, D = 2
    >>> loss, accuracy = info_nce(embeddings, embeddings, temperature=0.5)
    >>> print(f"{loss:.4f} {accuracy:.1f}")
    0.1269 1.0
  """

  def contrast(own: Any, shared: Any) -> Any:
    indices, anchors, negatives = own
    keys, queue = shared
    candidates = [_dot_products(anchors, keys)]
    if negatives is not None:
      candidates.append(jnp.sum(anchors * negatives, axis=2).T[..., None])
    if queue is not None:
      candidates.append(_queued_products(anchors, queue))
    return _identify(jnp.concatenate(candidates, axis=2) / temperature, indices)

  loss, accuracy = _means(contrast, anchors, negatives, keys, queue)
  if symmetric:
    backward, _ = _means(contrast, keys, None, anchors, None)
    loss = (loss + backward) / 2
  return loss, accuracy


def nt_xent(
  first: Float[Array, "b n d"],
  second: Float[Array, "b n d"],
  queue: Queue | None = None,
  *,
  temperature: float,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
  """NT-Xent with negatives from both views (SimCLR, Eq. 1; CVRL, Eq. 1).

  The positive of each of the 2B embeddings is the other view of its video; the
  2B - 2 embeddings of the other videos are its negatives. Choice: the loss is
  the mean over all 2B embeddings. CVRL's reference code adds the means of the
  two directions, which is twice as much; the weight of a term can restore it.

  Args:
    first: float32 [B, N, D], the embeddings of one view of each video.
    second: float32 [B, N, D], those of the other view, in the same order.
    queue: Keys of earlier batches, further negatives of all 2B embeddings.
    temperature: Softmax temperature τ > 0 (0.1 in CVRL).

  Returns:
    The loss and the accuracy, float32 scalars.

  Example:
    Two videos whose views are equal, and orthogonal to those of the other
    video: the loss is log(1 + 2 exp(-1 / temperature)).

    >>> embeddings = jnp.eye(2)[:, None]  # B = 2 videos, N = 1, D = 2
    >>> loss, accuracy = nt_xent(embeddings, embeddings, temperature=0.5)
    >>> print(f"{loss:.4f} {accuracy:.1f}")
    0.2395 1.0
  """

  def contrast(own: Any, shared: Any) -> Any:
    indices, anchors, _ = own
    (keys, same_view), queue = shared
    within = _dot_products(anchors, same_view)
    within = jnp.where(_one_hot(indices, within), -jnp.inf, within)
    candidates = [_dot_products(anchors, keys), within]
    if queue is not None:
      candidates.append(_queued_products(anchors, queue))
    return _identify(jnp.concatenate(candidates, axis=2) / temperature, indices)

  forward = _means(contrast, first, None, (second, first), queue)
  backward = _means(contrast, second, None, (first, second), queue)
  loss, accuracy = ((a + b) / 2 for a, b in zip(forward, backward, strict=True))
  return loss, accuracy


def triplet(
  anchors: Float[Array, "b n d"],
  positives: Float[Array, "b n d"],
  negatives: Float[Array, "b n d"],
  queue: Queue | None = None,
  *,
  margin: float,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
  """Margin loss on Euclidean distances, within and between videos (DSM).

  The loss of an anchor a is `max(0, margin + |a - p| - |a - n|)` with the
  negative n of its own video, plus the same with the negatives of the other
  videos. Choice: the second summand is the mean over all other videos of the
  batch. The reference code pairs each anchor with one other video, of which
  this is the expectation, and weighs both summands equally.

  Args:
    anchors: float32 [B, N, D], the embeddings of one view of each video.
    positives: float32 [B, N, D], the embeddings of the views that keep the
      motion and disturb the scene.
    negatives: float32 [B, N, D], the embeddings of the views that keep the
      scene and break the motion.
    queue: Keys of earlier batches, which are negatives as those of the other
      videos are: the second summand is the mean over both.
    margin: How much farther than the positive the negatives are to be, as a
      Euclidean distance (0.5 in the reference code).

  Returns:
    The loss and the accuracy, float32 scalars.

  Example:
    Two videos whose anchors equal their positives and are at distance √2 from
    all negatives, which is farther than the margin: nothing is left to learn.

    >>> anchors = jnp.eye(3)[:2, None]  # B = 2 videos, N = 1, D = 3
    >>> negatives = jnp.broadcast_to(jnp.eye(3)[2], anchors.shape)
    >>> loss, accuracy = triplet(anchors, anchors, negatives, margin=0.5)
    >>> print(f"{loss:.4f} {accuracy:.1f}")
    0.0000 1.0
  """
  batch = len(anchors)

  def contrast(own: Any, shared: Any) -> Any:
    indices, anchors, (positives, own_negatives) = own
    negatives, queue = shared
    near = _safe_sqrt(jnp.sum((anchors - positives) ** 2, axis=2)).T[..., None]
    within = _safe_sqrt(jnp.sum((anchors - own_negatives) ** 2, axis=2))
    # |a - n|² = 2 - 2 a·n needs no array [B, B, D]. For the video's own
    # negative, which can be close, the difference above loses no digits.
    others = _safe_sqrt(2.0 - 2.0 * _dot_products(anchors, negatives))
    itself = _one_hot(indices, others)
    far = jnp.where(itself, within.T[..., None], others)
    weights = jnp.where(itself, 1.0, 1.0 / max(batch - 1, 1))
    if queue is not None:
      # The keys that are not there yet are out of reach, and have no weight.
      earlier = _safe_sqrt(2.0 - 2.0 * queue.dot_products(anchors))
      earlier = jnp.where(queue.filled, earlier, jnp.inf)
      far = jnp.concatenate([far, earlier], axis=2)
      count = jnp.maximum(batch - 1 + jnp.sum(queue.filled), 1)
      weights = jnp.where(_one_hot(indices, far), 1.0, 1.0 / count)
    hinges = jnp.maximum(margin + near - far, 0.0)
    losses = jnp.sum(weights * hinges, axis=2)
    return losses.T, jnp.all(near < far, axis=2).T

  return _means(contrast, anchors, (positives, negatives), negatives, queue)


def _means(
  contrast: Callable[[Any, Any], Any],
  anchors: Float[Array, "b n d"],
  own: Any,
  keys: Any,
  queue: Queue | None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
  """The mean loss and the accuracy of all anchors.

  Args:
    contrast: A function of `(indices [A], anchors [A, N, D], own)` of any A
      anchors and of `(keys, queue)` to their losses and successes, both [A, N].
    anchors: float32 [B, N, D].
    own: Embeddings [B, N, D] that only the anchor of the same video sees.
    keys: Embeddings [B, N, D] that all anchors see, in a pytree.
    queue: Keys of earlier batches.
  """
  batch, positions, _ = anchors.shape
  candidates = sum(len(x) for x in jax.tree.leaves(keys))
  if queue is not None:
    candidates += len(queue.filled)
  losses, successes = blocks.map_anchors(
    contrast,
    (jnp.arange(batch), anchors, own),
    (keys, queue),
    positions * candidates,
  )
  return jnp.mean(losses), jnp.mean(successes)


def _dot_products(
  anchors: Float[Array, "a n d"], keys: Float[Array, "b n d"]
) -> Float[Array, "n a b"]:
  """The dot product of every anchor with every key at the same position."""
  return jnp.einsum(
    "and,bnd->nab", anchors, keys, precision=jax.lax.Precision.HIGHEST
  )


def _queued_products(
  anchors: Float[Array, "a n d"], queue: Queue
) -> Float[Array, "n a q"]:
  """Dot products with the keys of a queue; -inf where there is none yet."""
  return jnp.where(queue.filled, queue.dot_products(anchors), -jnp.inf)


def _one_hot(
  indices: Int[Array, "a"], candidates: Float[Array, "n a c"]
) -> Bool[Array, "a c"]:
  """Which candidate has the index of the anchor."""
  return indices[:, None] == jnp.arange(candidates.shape[2])


def _identify(
  logits: Float[Array, "n a c"], indices: Int[Array, "a"]
) -> tuple[Float[Array, "a n"], Bool[Array, "a n"]]:
  """Cross-entropy and success of anchors among C candidates.

  Args:
    logits: float32 [N, A, C], at each position a row of candidates for each
      anchor.
    indices: int32 [A], which of the candidates is the positive.
  """
  itself = _one_hot(indices, logits)
  positives = jnp.take_along_axis(logits, indices[None, :, None], axis=2)
  positives = positives[..., 0]
  negatives = jnp.max(logits, axis=2, where=~itself, initial=-jnp.inf)
  losses = jax.nn.logsumexp(logits, axis=2) - positives
  return losses.T, (positives > negatives).T


def _safe_sqrt(squares: Float[Array, "..."]) -> Float[Array, "..."]:
  """The square root, with gradient 0 instead of infinity at 0."""
  return jnp.sqrt(jnp.maximum(squares, 1e-12))
