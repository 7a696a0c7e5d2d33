"""A queue of keys of earlier batches, which are further negatives (MoCo).

The keys of a batch are its positives, as the running mean of the parameters
encodes them. After each step, the keys of the whole global batch, of all
devices, replace those of the oldest batch in the queue.

The queue is an array [M, B, N, D] of M batches. The newest batch is at the
place that the number of steps gives, so the state needs no counter of its own.
The axis B is sharded over devices, as batches are: each device holds the same
share of the queue, and stores its own keys without any exchange. For the loss,
the compiler gathers a queue for the moment: 4·Q·N·D bytes for Q = M·B keys.

Choice: until M batches have been stored, the empty places are masked, and so is
the place of a step that was skipped before anything was stored there. MoCo
begins with random vectors instead, which are no keys of any video.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32

from hdc_jax.errors import ConfigError


class Queue(NamedTuple):
  """Keys of earlier batches, for one embedding.

  Attributes:
    keys: float32 [M, B, N, D], L2-normalised embeddings of B videos at N
      temporal positions, of each of M batches; zeros where none were stored.
    stored: int32 scalar, number of steps so far, each of which has stored a
      batch or was skipped; at most M batches are still there.
  """

  keys: Float[Array, "m b n d"]
  stored: Int32[Array, ""]

  @property
  def filled(self) -> jax.Array:
    """Which of the Q = M·B keys are there, bool [Q]."""
    batches = self.keys.shape[0]
    reached = jnp.arange(batches) < self.stored
    return (reached[:, None] & jnp.any(self.keys != 0, axis=(2, 3))).ravel()

  def dot_products(
    self, anchors: Float[Array, "a n d"]
  ) -> Float[Array, "n a q"]:
    """The dot product of every anchor with every key at the same position.

    Args:
      anchors: float32 [A, N, D].

    Returns:
      float32 [N, A, Q], also of the places that are empty.
    """
    products = jnp.einsum(
      "and,mbnd->namb",
      anchors,
      self.keys,
      precision=jax.lax.Precision.HIGHEST,
    )
    return products.reshape(*products.shape[:2], -1)


def store(
  keys: Mapping[str, Float[Array, "m b n d"]],
  batch: Mapping[str, Float[Array, "b n d"]],
  step: Int32[Array, ""],
) -> dict[str, Float[Array, "m b n d"]]:
  """Replaces the oldest batch by a new one.

  Args:
    keys: The queue of each embedding, by name.
    batch: The keys of the new batch, by the same names.
    step: int32 scalar, number of steps before.

  Returns:
    The queues with the new batch.
  """
  return {
    name: jax.lax.dynamic_update_index_in_dim(
      queue, batch[name], step % len(queue), axis=0
    )
    for name, queue in keys.items()
  }


def check_size(queue: int, batch_size: int) -> None:
  """Checks that a queue holds whole batches.

  Args:
    queue: Number of keys of the queue; 0 for none.
    batch_size: Videos per step.

  Raises:
    ConfigError: If it does not; names the nearest sizes that do.

  Example:
    >>> check_size(3584, 256)
    >>> check_size(3569, 256)
    Traceback (most recent call last):
      ...
    hdc_jax.errors.ConfigError: config.method.queue=3569 must be a multiple of \
config.data.batch_size=256: use 3328 or 3584
  """
  if queue % batch_size:
    lower = queue // batch_size * batch_size
    nearest = " or ".join(str(n) for n in (lower, lower + batch_size) if n)
    raise ConfigError(
      f"config.method.queue={queue} must be a multiple of "
      f"config.data.batch_size={batch_size}: use {nearest}"
    )
