"""InfoNCE against float64 NumPy written from the paper's equations."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax import losses


def unit(rng, *shape):
  """Random float64 vectors of norm 1 along the last axis."""
  x = rng.standard_normal(shape)
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def reference(anchors, keys, temperature):
  """Eqs. 1-5 in float64: the loss, its gradients, and the accuracy.

  One direction, keys of the other variant only, mean over videos and temporal
  positions.
  """
  batch, positions, _ = anchors.shape
  loss, hits = 0.0, 0
  d_anchors, d_keys = np.zeros_like(anchors), np.zeros_like(keys)
  for n in range(positions):
    for i in range(batch):
      scores = np.array(
        [anchors[i, n] @ keys[j, n] / temperature for j in range(batch)]
      )
      odds = np.exp(scores - scores.max())
      probabilities = odds / odds.sum()
      loss += -np.log(probabilities[i])
      hits += scores[i] >= scores.max()
      error = probabilities - np.eye(batch)[i]
      for j in range(batch):
        d_anchors[i, n] += error[j] * keys[j, n] / temperature
        d_keys[j, n] += error[j] * anchors[i, n] / temperature
  count = batch * positions
  return loss / count, (d_anchors / count, d_keys / count), hits / count


@pytest.mark.parametrize(
  ("batch", "positions", "temperature"),
  [(2, 1, 0.07), (3, 4, 0.07), (8, 2, 0.5), (16, 1, 0.1), (5, 8, 1.0)],
)
def test_values_and_gradients(batch, positions, temperature):
  rng = np.random.default_rng(batch)
  anchors, keys = (unit(rng, batch, positions, 16) for _ in range(2))
  want, want_grads, want_accuracy = reference(anchors, keys, temperature)

  f = functools.partial(losses.info_nce, temperature=temperature)
  (loss, accuracy), grads = jax.jit(
    jax.value_and_grad(f, (0, 1), has_aux=True)
  )(jnp.float32(anchors), jnp.float32(keys))

  chex.assert_shape((loss, accuracy), ())
  chex.assert_trees_all_close(loss, np.float32(want), rtol=1e-5)
  chex.assert_trees_all_close(accuracy, np.float32(want_accuracy))
  chex.assert_trees_all_close(
    grads, jax.tree.map(np.float32, want_grads), rtol=1e-4, atol=1e-6
  )


def test_symmetric_is_the_mean_of_both_directions():
  rng = np.random.default_rng(0)
  anchors, keys = (unit(rng, 6, 3, 8) for _ in range(2))
  forward, backward = (
    reference(a, b, 0.07)[0] for a, b in ((anchors, keys), (keys, anchors))
  )
  loss, _ = losses.info_nce(
    jnp.float32(anchors), jnp.float32(keys), temperature=0.07, symmetric=True
  )
  np.testing.assert_allclose(loss, (forward + backward) / 2, rtol=1e-5)
  assert abs(forward - backward) > 1e-3  # else the test could not tell


@pytest.mark.parametrize("batch", [2, 8, 32])
def test_identical_embeddings_give_log_batch(batch):
  same = jnp.ones((batch, 3, 4)) / 2.0
  loss, _ = losses.info_nce(same, same, temperature=0.07)
  np.testing.assert_allclose(loss, np.log(batch), rtol=1e-5)


def test_perfect_embeddings_approach_zero():
  perfect = jnp.eye(8)[:, None, :]
  loss, accuracy = losses.info_nce(perfect, perfect, temperature=0.07)
  assert 0.0 <= loss < 1e-4
  assert accuracy == 1.0


def test_positions_are_contrasted_apart():
  """A key at another position is neither a positive nor a negative."""
  a = jnp.eye(4)[:, None, :].repeat(2, axis=1)
  shuffled = a.at[:, 1].set(a[::-1, 1])
  loss, accuracy = losses.info_nce(a, shuffled, temperature=0.07)
  assert accuracy == 0.5
  np.testing.assert_allclose(loss, 1 / 0.07 / 2, rtol=1e-3)


def test_wrong_shapes_are_refused():
  with pytest.raises(Exception, match="info_nce"):
    losses.info_nce(jnp.ones((2, 1, 4)), jnp.ones((3, 1, 4)), temperature=1.0)
