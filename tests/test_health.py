"""The measures against NumPy in float64, with singular values by SVD."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax import health
from hdc_jax.objective import Pair


def embed(seed, videos, positions, width, spread=1.0):
  """Anchors and positives around a common direction, float32 [B, N, D]."""
  rng = np.random.default_rng(seed)
  mean = rng.normal(size=(1, positions, width))
  videos = mean + spread * rng.normal(size=(videos, positions, width))
  views = [videos + 0.3 * rng.normal(size=videos.shape) for _ in range(2)]
  return [
    np.float32(x / np.linalg.norm(x, axis=2, keepdims=True)) for x in views
  ]


def rank(x):
  ranks = []
  for n in range(x.shape[1]):
    values = np.linalg.svd(x[:, n], compute_uv=False)
    shares = values[values > 1e-3 * values[0]] / values.sum()
    ranks.append(np.exp(-sum(p * np.log(p) for p in shares)))
  return np.mean(ranks)


def deviation(x):
  return x.std(axis=0).mean() * np.sqrt(x.shape[2])


def uniformity(x):
  return np.mean(
    [
      np.log(
        np.mean(
          [
            np.exp(-2 * np.sum((a - b) ** 2))
            for a, b in itertools.combinations(x[:, n], 2)
          ]
        )
      )
      for n in range(x.shape[1])
    ]
  )


def alignment(a, p):
  return np.mean(np.linalg.norm(a - p, axis=2) ** 2)


def similarities(a, p):
  own, hardest = [], []
  for n in range(a.shape[1]):
    for i in range(len(a)):
      own.append(a[i, n] @ p[i, n])
      others = [a[i, n] @ p[j, n] for j in range(len(a)) if j != i]
      hardest.append(max(others))
  nearest = np.mean([o > h for o, h in zip(own, hardest, strict=True)])
  return {
    "positive": np.mean(own),
    "negative": np.mean(hardest),
    "nearest": nearest,
  }


SHAPES = {
  "more videos than dimensions": (40, 2, 12),
  "more dimensions than videos": (9, 3, 32),
  "two videos": (2, 1, 5),
  "nearly alike": (24, 1, 16, 0.02),
}


@pytest.mark.parametrize("case", SHAPES)
def test_measures(case):
  """Each is what its paper says, at every position and then on average."""
  pair = [jnp.asarray(x) for x in embed(0, *SHAPES[case])]
  exact = [np.float64(x) for x in pair]
  for measure, reference in (
    (health.rank, rank),
    (health.deviation, deviation),
    (health.uniformity, uniformity),
  ):
    for got, want in zip(pair, exact, strict=True):
      np.testing.assert_allclose(
        measure(got), reference(want), rtol=2e-3, atol=1e-5
      )
  np.testing.assert_allclose(
    health.alignment(*pair), alignment(*exact), rtol=1e-4
  )
  got, want = health.similarities(*pair), similarities(*exact)
  assert set(got) == set(want)
  for name, value in want.items():
    np.testing.assert_allclose(got[name], value, rtol=1e-5, err_msg=name)


def test_vectors_spread_evenly_have_the_good_values_that_the_docs_name():
  x = np.random.default_rng(0).normal(size=(1000, 1, 128))
  x = jnp.float32(x / np.linalg.norm(x, axis=2, keepdims=True))
  assert health.deviation(x) == pytest.approx(1, abs=0.01)
  assert health.uniformity(x) == pytest.approx(-4, abs=0.1)
  assert health.rank(x) > 120
  assert health.alignment(x, x[::-1]) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_what_has_collapsed_has_the_values_that_the_docs_name(value):
  """Where all vectors are the same, or nought; none is NaN or infinite."""
  x = jnp.full((8, 2, 16), value)
  measured = health.measure({"t": Pair(x, x, ("a", "b"))})
  want = {
    "rank/a_t": 1,
    "rank/b_t": 1,
    "deviation/a_t": 0,
    "deviation/b_t": 0,
    "uniformity/a_t": 0,
    "uniformity/b_t": 0,
    "alignment/t": 0,
    "positive/t": 16 * value**2,
    "negative/t": 16 * value**2,
    "nearest/t": 0,
  }
  assert set(measured) == {f"health/{name}" for name in want}
  for name, number in want.items():
    assert measured[f"health/{name}"] == pytest.approx(number, abs=1e-3), name


def test_every_embedding_of_a_batch_has_its_own_values():
  """Also of other widths and numbers of positions than the others."""
  pairs = {
    name: Pair(*map(jnp.asarray, embed(seed, 16, *shape)), ("o", view))
    for seed, (name, view, *shape) in enumerate(
      [("spatial3", "s", 4, 8), ("temporal3", "t", 1, 8), ("other", "p", 2, 6)]
    )
  }
  measured = jax.jit(health.measure)(pairs)
  for term, pair in pairs.items():
    for view, x in zip(pair.views, (pair.anchors, pair.positives), strict=True):
      for name, reference in (
        ("rank", rank),
        ("deviation", deviation),
        ("uniformity", uniformity),
      ):
        got = measured[f"health/{name}/{view}_{term}"]
        assert got == pytest.approx(reference(np.float64(x)), rel=2e-3)
    want = similarities(np.float64(pair.anchors), np.float64(pair.positives))
    for name, value in want.items():
      got = measured[f"health/{name}/{term}"]
      assert got == pytest.approx(value, rel=1e-5)
  assert len(measured) == 3 * (2 * 3 + 4)


def test_a_large_batch_is_sampled_evenly(monkeypatch):
  monkeypatch.setattr(health, "VIDEOS", 10)
  anchors, positives = map(jnp.asarray, embed(0, 35, 2, 8))
  got = health.measure({"t": Pair(anchors, positives, ("a", "b"))})
  few = Pair(anchors[::4], positives[::4], ("a", "b"))
  assert len(few.anchors) == 9
  want = health.measure({"t": few})
  for name, value in want.items():
    assert got[name] == value


def test_a_single_video_cannot_be_compared():
  x = jnp.ones((1, 2, 4))
  assert health.measure({"t": Pair(x, x, ("a", "b"))}) == {}
