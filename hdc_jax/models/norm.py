"""Normalisations by name; statistics are float32 whatever the activations."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

# Per clip and channel over T, H, W, with scale and bias (HDC's choice: batch
# norm would let a batch's videos see each other).
NORMS = {"instance": nn.InstanceNorm}


def make_norm(name: str, dtype: jnp.dtype) -> Callable[..., nn.Module]:
  """The class of norm `name`, to be called once per layer.

  Raises:
    KeyError: If there is no such norm; the registry checks names before.
  """
  return functools.partial(NORMS[name], epsilon=1e-5, dtype=dtype)
