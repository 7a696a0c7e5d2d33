"""Contrastive losses: pure functions of embeddings, without collectives.

Under `jit` with batch-sharded arguments the product of every anchor with every
key already spans all devices: the compiler gathers the keys, so the negatives
are global and no function here knows about devices.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def info_nce(
  anchors: Float[Array, "b n d"],
  keys: Float[Array, "b n d"],
  *,
  temperature: float,
  symmetric: bool = False,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
  """InfoNCE over the batch at every temporal position (HDC, Eqs. 1-5).

  The positive of anchor `i` at position `n` is key `i` at the same position;
  the keys of all other videos at that position are its negatives. The mean over
  videos and positions is returned, so the learning rate does not depend on the
  batch.

  Args:
    anchors: L2-normalised float32 embeddings; B videos, N temporal positions.
    keys: The other variant of the same videos, in the same order.
    temperature: τ, the softmax temperature (0.07 in the paper).
    symmetric: Whether to average with the loss of keys against anchors. The
      paper's equations go one way.

  Returns:
    The loss and the accuracy: how often the positive is the nearest key (a tie
    counts as a miss only if another key is strictly nearer).
  """
  logits = jnp.einsum(
    "bnd,cnd->nbc", anchors, keys, precision=jax.lax.Precision.HIGHEST
  )
  logits /= temperature
  positives = jnp.diagonal(logits, axis1=1, axis2=2)
  loss = jnp.mean(jax.nn.logsumexp(logits, axis=2) - positives)
  if symmetric:
    backward = jnp.mean(jax.nn.logsumexp(logits, axis=1) - positives)
    loss = (loss + backward) / 2
  accuracy = jnp.mean(positives >= jnp.max(logits, axis=2))
  return loss, accuracy
