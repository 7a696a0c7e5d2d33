"""Losses against float64 NumPy written from the papers' equations."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax import losses
from hdc_jax.distributed import mesh


def unit(rng, *shape):
  """Random float64 vectors of norm 1 along the last axis."""
  x = rng.standard_normal(shape)
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def triples(rng, *shape):
  """Anchors, positives near them, and negatives less near, of norm 1.

  Near enough that some hinges of a triplet are open and others closed.
  """
  anchors = unit(rng, *shape)
  near = [anchors + 0.2 * scale * unit(rng, *shape) for scale in (1, 4)]
  return anchors, *(x / np.linalg.norm(x, axis=-1, keepdims=True) for x in near)


def softmax_reference(anchor, candidates, positive, temperature):
  """Cross-entropy of one anchor and its gradients, and whether it is a hit."""
  scores = np.array([anchor @ key / temperature for key in candidates])
  odds = np.exp(scores - scores.max())
  probabilities = odds / odds.sum()
  error = (probabilities - np.eye(len(scores))[positive]) / temperature
  d_anchor = sum(e * key for e, key in zip(error, candidates, strict=True))
  d_candidates = [e * anchor for e in error]
  hit = scores[positive] > np.delete(scores, positive).max(initial=-np.inf)
  return -np.log(probabilities[positive]), d_anchor, d_candidates, hit


def info_nce_reference(anchors, keys, negatives=None, *, temperature):
  """Eqs. 1-5 of HDC in float64: the loss, its gradients, and the accuracy.

  One direction, keys of the other variant only, mean over videos and temporal
  positions. With negatives, one more candidate: that of the anchor's video.
  """
  arguments = [x for x in (anchors, keys, negatives) if x is not None]
  grads = [np.zeros_like(x) for x in arguments]
  batch, positions, _ = anchors.shape
  loss, hits = 0.0, 0
  for n in range(positions):
    for i in range(batch):
      places = [(1, j) for j in range(batch)]
      places += [(2, i)] * (negatives is not None)
      candidates = [arguments[which][j, n] for which, j in places]
      one, d_anchor, d_candidates, hit = softmax_reference(
        anchors[i, n], candidates, i, temperature
      )
      loss, hits = loss + one, hits + hit
      grads[0][i, n] += d_anchor
      for (which, j), gradient in zip(places, d_candidates, strict=True):
        grads[which][j, n] += gradient
  count = batch * positions
  return loss / count, tuple(g / count for g in grads), hits / count


def nt_xent_reference(first, second, *, temperature):
  """Eq. 1 of SimCLR: every embedding against the 2B - 1 others."""
  both = np.concatenate([first, second])
  grads = np.zeros_like(both)
  batch, positions = len(first), first.shape[1]
  loss, hits = 0.0, 0
  for n in range(positions):
    for i in range(2 * batch):
      others = [j for j in range(2 * batch) if j != i]
      positive = others.index((i + batch) % (2 * batch))
      one, d_anchor, d_others, hit = softmax_reference(
        both[i, n], both[others, n], positive, temperature
      )
      loss, hits = loss + one, hits + hit
      grads[i, n] += d_anchor
      for j, gradient in zip(others, d_others, strict=True):
        grads[j, n] += gradient
  count = 2 * batch * positions
  return loss / count, tuple(np.split(grads / count, 2)), hits / count


def triplet_reference(anchors, positives, negatives, *, margin):
  """The hinge with the own negative, plus the mean of those with the others."""
  grads = [np.zeros_like(anchors) for _ in range(3)]
  batch, positions, _ = anchors.shape
  loss, hits = 0.0, 0
  for n in range(positions):
    for i in range(batch):
      to_positive = anchors[i, n] - positives[i, n]
      near = np.linalg.norm(to_positive)
      hit = True
      for j in range(batch):
        to_negative = anchors[i, n] - negatives[j, n]
        far = np.linalg.norm(to_negative)
        hit &= near < far
        weight = 1.0 if j == i else 1.0 / (batch - 1)
        if margin + near - far > 0:
          loss += weight * (margin + near - far)
          grads[0][i, n] += weight * (to_positive / near - to_negative / far)
          grads[1][i, n] -= weight * to_positive / near
          grads[2][j, n] += weight * to_negative / far
      hits += hit
  count = batch * positions
  return loss / count, tuple(g / count for g in grads), hits / count


INFO_NCE, NT_XENT, TRIPLET = (
  jax.jit(functools.partial(objective, **constant))
  for objective, constant in (
    (losses.info_nce, {"temperature": 0.07}),
    (losses.nt_xent, {"temperature": 0.07}),
    (losses.triplet, {"margin": 0.5}),
  )
)

OBJECTIVES = {
  "info_nce": (losses.info_nce, info_nce_reference, 2, "temperature"),
  "info_nce_with_negatives": (
    losses.info_nce,
    info_nce_reference,
    3,
    "temperature",
  ),
  "nt_xent": (losses.nt_xent, nt_xent_reference, 2, "temperature"),
  "triplet": (losses.triplet, triplet_reference, 3, "margin"),
}


def without_radial(gradient, embeddings):
  """The part of a gradient that normalised embeddings can follow.

  `2 - 2 cos` is the squared distance on the unit sphere only.
  """
  along = np.sum(gradient * embeddings, axis=-1, keepdims=True)
  return gradient - along * embeddings


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize(
  ("batch", "positions", "constant"),
  [(2, 1, 0.07), (3, 4, 0.07), (8, 2, 0.5), (16, 1, 0.1), (5, 8, 1.0)],
)
def test_values_and_gradients(name, batch, positions, constant):
  objective, reference, count, parameter = OBJECTIVES[name]
  constant = {parameter: constant}
  embeddings = triples(np.random.default_rng(batch), batch, positions, 16)
  embeddings = embeddings[:count]
  want, want_grads, want_accuracy = reference(*embeddings, **constant)

  f = functools.partial(objective, **constant)
  (loss, accuracy), grads = jax.jit(
    jax.value_and_grad(f, tuple(range(count)), has_aux=True)
  )(*map(jnp.float32, embeddings))

  chex.assert_shape((loss, accuracy), ())
  chex.assert_trees_all_close(loss, np.float32(want), rtol=1e-5, atol=2e-6)
  chex.assert_trees_all_close(accuracy, np.float32(want_accuracy))
  if name == "triplet":
    grads = tuple(map(without_radial, grads, embeddings))
    want_grads = tuple(map(without_radial, want_grads, embeddings))
  chex.assert_trees_all_close(
    grads, jax.tree.map(np.float32, want_grads), rtol=1e-4, atol=1e-6
  )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_devices_do_not_change_the_result(name):
  """Value, accuracy and gradients of a batch sharded over 1 and 8 devices."""
  objective, _, count, parameter = OBJECTIVES[name]
  embeddings = triples(np.random.default_rng(0), 16, 2, 8)[:count]
  results = []
  for devices in (1, 8):
    batched = mesh.batched(mesh.make_mesh(devices))
    f = functools.partial(objective, **{parameter: 0.3})
    f = jax.value_and_grad(f, tuple(range(count)), has_aux=True)
    sharded = jax.device_put(tuple(map(np.float32, embeddings)), batched)
    results.append(jax.device_get(jax.jit(f)(*sharded)))
  chex.assert_trees_all_close(*results, rtol=1e-5, atol=1e-6)


def test_symmetric_is_the_mean_of_both_directions():
  rng = np.random.default_rng(0)
  anchors, keys = (unit(rng, 6, 3, 8) for _ in range(2))
  forward, backward = (
    info_nce_reference(a, b, temperature=0.07)[0]
    for a, b in ((anchors, keys), (keys, anchors))
  )
  loss, _ = losses.info_nce(
    jnp.float32(anchors), jnp.float32(keys), temperature=0.07, symmetric=True
  )
  np.testing.assert_allclose(loss, (forward + backward) / 2, rtol=1e-5)
  assert abs(forward - backward) > 1e-3  # else the test could not tell


@pytest.mark.parametrize("batch", [2, 8, 32])
def test_identical_embeddings_give_the_log_of_the_candidates(batch):
  same = jnp.ones((batch, 3, 4)) / 2.0
  for (loss, accuracy), candidates in (
    (INFO_NCE(same, same), batch),
    (INFO_NCE(same, same, same), batch + 1),
    (NT_XENT(same, same), 2 * batch - 1),
  ):
    np.testing.assert_allclose(loss, np.log(candidates), rtol=1e-5)
    assert accuracy == 0.0  # ties are no success


def test_one_vector_for_all_is_no_success():
  """Of any vector, whose products with itself are rounded."""
  rng = np.random.default_rng(0)
  for batch in (2, 5, 37):
    same = jnp.float32(np.broadcast_to(unit(rng, 1, 1, 128), (batch, 2, 128)))
    for _, accuracy in (
      INFO_NCE(same, same),
      INFO_NCE(same, same, same),
      NT_XENT(same, same),
      TRIPLET(same, same, same),
    ):
      assert accuracy <= 1 / batch


def test_identical_embeddings_leave_the_triplet_its_margins():
  """One within the video and one between; finite gradients at distance 0."""
  same = jnp.ones((4, 3, 4)) / 2.0
  f = jax.jit(jax.value_and_grad(TRIPLET, (0, 1, 2), has_aux=True))
  (loss, accuracy), grads = f(same, same, same)
  np.testing.assert_allclose(loss, 1.0, rtol=1e-3)
  assert accuracy == 0.0
  chex.assert_tree_all_finite(grads)


def test_perfect_embeddings_approach_zero():
  perfect = jnp.eye(8)[:, None, :]
  for loss, accuracy in (
    INFO_NCE(perfect, perfect),
    INFO_NCE(perfect, perfect, -perfect),
    NT_XENT(perfect, perfect),
    TRIPLET(perfect, perfect, -perfect),
  ):
    assert 0.0 <= loss < 1e-4
    assert accuracy == 1.0


def test_a_nearer_negative_is_a_miss():
  """Of the own video, and for a triplet also of another."""
  anchors = jnp.eye(8)[:4, None, :]
  positives = (anchors + jnp.eye(8)[4:, None, :]) / np.sqrt(2)
  for loss, accuracy in (
    INFO_NCE(anchors, positives, anchors),
    TRIPLET(anchors, positives, anchors),
    TRIPLET(anchors, positives, anchors[::-1]),
  ):
    assert loss > 0.3
    assert accuracy == 0.0
  for _, accuracy in (
    INFO_NCE(anchors, positives),
    TRIPLET(anchors, positives, -anchors),
  ):
    assert accuracy == 1.0


@pytest.mark.parametrize("name", OBJECTIVES)
def test_positions_are_contrasted_apart(name):
  """Neither positives nor negatives come from another position."""
  objective, _, count, parameter = OBJECTIVES[name]
  f = jax.jit(functools.partial(objective, **{parameter: 0.3}))
  embeddings = triples(np.random.default_rng(0), 4, 2, 8)[:count]
  embeddings = tuple(map(jnp.float32, embeddings))
  alone = [f(*(e[:, n : n + 1] for e in embeddings)) for n in range(2)]
  mean = jax.tree.map(lambda *x: sum(x) / 2, *alone)
  chex.assert_trees_all_close(f(*embeddings), mean, rtol=1e-5)


def test_wrong_shapes_are_refused():
  with pytest.raises(Exception, match="info_nce"):
    losses.info_nce(jnp.ones((2, 1, 4)), jnp.ones((3, 1, 4)), temperature=1.0)
