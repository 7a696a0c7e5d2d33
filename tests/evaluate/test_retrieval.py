"""Rates of hits by hand, and those of chance by simulation."""

import numpy as np
import pytest

from hdc_jax.data.labels.segments import Segment
from hdc_jax.evaluate import retrieval
from hdc_jax.evaluate.evaluation import Outputs


def test_hit_rates():
  hits = np.array([[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0]], bool)
  assert retrieval.hit_rates(hits, (1, 2, 3, 50)) == {
    "top1": 25.0,
    "top2": 50.0,
    "top3": 75.0,
    "top50": 75.0,
  }


def segments(labels, first_video=0):
  """Features of nothing, with a segment of a video of its own per label."""
  found = [
    Segment(first_video + i, 0, 1, int(label)) for i, label in enumerate(labels)
  ]
  return Outputs(found, [], {})


@pytest.mark.parametrize("own", [False, True])
def test_chance_is_the_mean_of_random_retrieval(own):
  """Also where a split searches itself, without the query's own video."""
  rng = np.random.default_rng(0)
  gallery = rng.integers(3, size=12)
  queries = gallery if own else rng.integers(3, size=5)
  want = {1: [], 4: []}
  for _ in range(4000):
    for i, query in enumerate(queries):
      rest = np.delete(gallery, i) if own else gallery
      hits = rng.permutation(rest) == query
      for k, found in want.items():
        found.append(100 * hits[:k].any())
  got = retrieval.chance_rates(
    segments(queries), segments(gallery, 0 if own else 100), (1, 4)
  )
  for k, found in want.items():
    assert abs(got[f"top{k}"] - np.mean(found)) < 1.5
