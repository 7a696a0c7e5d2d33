"""Hit rates among nearest neighbours, and among random neighbours."""

import functools
from collections.abc import Sequence
from math import comb

import numpy as np

from hdc_jax.evaluate.evaluation import Outputs


def hit_rates(hits: np.ndarray, ks: Sequence[int]) -> dict[str, float]:
  """Percentages of queries with a hit among the first k, for each k.

  Args:
    hits: Whether each of K neighbours has the class of its query, bool [Q, K].
    ks: Numbers of neighbours; above K, all K are counted.

  Returns:
    Percentages by name: 'top1', 'top5', ….
  """
  return {f"top{k}": 100.0 * hits[:, :k].any(axis=1).mean() for k in ks}


@functools.cache
def _chance(others: int, size: int, k: int) -> float:
  """The probability that k segments drawn at random have a hit among them.

  Args:
    others: Number of segments that are no hits.
    size: Number of all segments.
    k: Number of segments that are drawn.
  """
  return 1.0 - comb(others, k) / comb(size, k)


def chance_rates(
  queries: Outputs, gallery: Outputs, ks: Sequence[int]
) -> dict[str, float]:
  """The expected `hit_rates` of neighbours that are drawn at random.

  Args:
    queries: The segments to search for.
    gallery: The segments to search; those of a query's video are excluded.
    ks: Numbers of neighbours.

  Returns:
    Percentages by name: 'top1', 'top5', ….
  """
  sums = dict.fromkeys(ks, 0.0)
  labels, videos = gallery.labels, gallery.videos
  for segment in queries.segments:
    rest = labels[videos != segment.video]
    others = int(np.sum(rest != segment.label))
    for k in ks:
      sums[k] += _chance(others, len(rest), min(k, len(rest)))
  return {f"top{k}": 100.0 * sums[k] / len(queries.segments) for k in ks}
