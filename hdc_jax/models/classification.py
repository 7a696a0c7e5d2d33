"""How a classifier learns, and what its logits mean.

A video has one class of a label, or any number of classes of a tag. The two
differ in the loss and in the scores, and share all other code.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax


@dataclasses.dataclass(frozen=True)
class Classification:
  """The loss and the scores of C classes, as functions that JAX can trace.

  Attributes:
    title: Name of the loss.
    loss: Function of logits float32 [..., C] and the true classes to losses
      [...]. True classes are int32 [...] for one class, or int32 [..., C], 1
      for each class that is shown.
    scores: Function of logits [..., C] to probabilities [..., C].
    correct: Function of logits and the true classes to bools [...]: whether the
      class with the highest logit is a true one.
  """

  title: str
  loss: Callable[[jax.Array, jax.Array], jax.Array]
  scores: Callable[[jax.Array], jax.Array]
  correct: Callable[[jax.Array, jax.Array], jax.Array]


def _binary_cross_entropy(logits: jax.Array, shown: jax.Array) -> jax.Array:
  """The mean over the classes of the cross-entropies of sigmoids, [...]."""
  return optax.sigmoid_binary_cross_entropy(logits, shown).mean(axis=-1)


def _is_shown(logits: jax.Array, shown: jax.Array) -> jax.Array:
  """Whether the class with the highest logit is shown, bool [...]."""
  highest = jnp.argmax(logits, axis=-1)[..., None]
  return jnp.take_along_axis(shown, highest, axis=-1)[..., 0] > 0


ONE_CLASS = Classification(
  "cross-entropy",
  optax.softmax_cross_entropy_with_integer_labels,
  jax.nn.softmax,
  lambda logits, labels: jnp.argmax(logits, axis=-1) == labels,
)
# Choice: the mean over the classes, not their sum, as other code has it for
# Charades. A learning rate then does not depend on the number of classes.
ANY_CLASSES = Classification(
  "binary cross-entropy", _binary_cross_entropy, jax.nn.sigmoid, _is_shown
)
