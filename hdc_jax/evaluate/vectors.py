"""What search and probes ask of feature vectors."""

import jax
import jax.numpy as jnp
import numpy as np

from hdc_jax.errors import DataError


def check_finite(name: str, vectors: np.ndarray) -> None:
  """Checks that no feature is NaN or infinite.

  Args:
    name: Of the vectors, for the message.
    vectors: float32 [N, ..., D].

  Raises:
    DataError: If some are not finite, saying how many rows and which is first.
  """
  bad = np.flatnonzero([not np.isfinite(row).all() for row in vectors])
  if len(bad):
    raise DataError(
      f"{len(bad)} of the {len(vectors)} {name} vectors are not finite, the "
      f"first is row {bad[0]}: the network overflows; use another checkpoint"
    )


def normalise(vectors: jax.Array) -> jax.Array:
  """Vectors of length 1; zero vectors stay zero.

  Args:
    vectors: float32 [..., D].

  Returns:
    float32 [..., D].
  """
  norms = jnp.linalg.norm(vectors, axis=-1, keepdims=True)
  return vectors / jnp.where(norms > 0, norms, 1.0)
