"""Keras SGD, written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hdc_jax.train import optimizer
from tests import small


def test_is_keras_sgd():
  """V ← m·v - lr/(1 + decay·step)·(g + 2λ·w), w ← w + v; L2 on kernels only."""
  config = small.config(optim__lr=0.3, optim__decay=0.2, optim__l2=0.01).optim
  tx = optimizer.keras_sgd(config)
  params = {
    "conv": {"kernel": jnp.array([1.0, -2.0])},
    "norm": {"scale": jnp.array([1.5]), "bias": jnp.array([0.5])},
  }
  state = tx.init(params)
  weights = jax.tree.map(np.float64, params)
  velocity = jax.tree.map(np.zeros_like, weights)
  rng = np.random.default_rng(0)
  for step in range(6):
    grads = jax.tree.map(lambda w: rng.standard_normal(w.shape), weights)
    updates, state = tx.update(jax.tree.map(jnp.float32, grads), state, params)
    params = optax.apply_updates(params, updates)
    lr = 0.3 / (1 + 0.2 * step)
    for layer, names in weights.items():
      for name in names:
        gradient = grads[layer][name]
        if name == "kernel":
          gradient = gradient + 2 * 0.01 * weights[layer][name]
        velocity[layer][name] = 0.9 * velocity[layer][name] - lr * gradient
        weights[layer][name] = weights[layer][name] + velocity[layer][name]
    jax.tree.map(
      lambda got, want: np.testing.assert_allclose(got, want, rtol=2e-6),
      params,
      weights,
    )
