"""Checks and normalises feature vectors, for searches and probes."""

import jax
import jax.numpy as jnp
import numpy as np

from hdc_jax.errors import DataError


def check_finite(name: str, vectors: np.ndarray) -> None:
  """Checks that no feature is NaN or infinite.

  Args:
    name: What the vectors are, for the message: 'query', say.
    vectors: float32 [N, ..., D].

  Raises:
    DataError: If some are not finite; the message says how many of the N rows,
      and which is the first.
  """
  bad = np.flatnonzero([not np.isfinite(row).all() for row in vectors])
  if len(bad):
    raise DataError(
      f"{len(bad)} of the {len(vectors)} {name} vectors are not finite, the "
      f"first is row {bad[0]}: the network overflows; use another checkpoint"
    )


def normalise(vectors: jax.Array) -> jax.Array:
  """Scales vectors to length 1; zero vectors stay zero.

  Args:
    vectors: float32 [..., D].

  Returns:
    float32 [..., D].

  Example:
    >>> print(normalise(jnp.array([[0.0, 2.0], [0.0, 0.0]])))
    [[0. 1.]
     [0. 0.]]
  """
  norms = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
  return vectors / jnp.where(norms > 0, norms, 1.0)
