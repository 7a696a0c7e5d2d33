"""Hits among nearest neighbours, and among random neighbours."""

import functools
from collections.abc import Sequence
from math import comb

import numpy as np

from hdc_jax.errors import ConfigError
from hdc_jax.evaluate.evaluation import Outputs

# What is left out of a search → function of outputs to the owner of each
# segment. A query is not compared with segments of its own owner.
_OWNERS = {
  "": lambda outputs: outputs.videos.tolist(),
  "group": lambda outputs: [
    group or video
    for group, video in zip(outputs.groups, outputs.videos, strict=True)
  ],
}


def owners(
  queries: Outputs, gallery: Outputs, exclude: str
) -> tuple[np.ndarray, np.ndarray]:
  """Numbers the owners of segments, by which a search leaves some out.

  Args:
    queries: The segments to search for.
    gallery: The segments to search.
    exclude: 'group' if the owner of a segment is the group of its video, or the
      video where it has no group; '' if it is the video.

  Returns:
    The owner of each of the Q queries, int64 [Q], and of each of the G segments
    of the gallery, int64 [G].

  Raises:
    ConfigError: If all segments of the gallery have the owner of every query.
  """
  numbers: dict[str | int, int] = {}
  first, second = (
    np.array([numbers.setdefault(k, len(numbers)) for k in _OWNERS[exclude](o)])
    for o in (queries, gallery)
  )
  if exclude and len({*first.tolist(), *second.tolist()}) == 1:
    raise ConfigError(
      f"config.test.exclude={exclude!r} leaves no video to search: all have "
      "one group; leave it out, or search more videos"
    )
  return first, second


def shared(
  queries: np.ndarray, gallery: np.ndarray, neighbours: np.ndarray
) -> np.ndarray:
  """Whether neighbours show a class of their query.

  Choice: one class in common is enough. With one class for each video, this is
  the rule for labels.

  Args:
    queries: Whether each query shows each class, bool [Q, C].
    gallery: Whether each segment of the gallery shows each class, bool [G, C].
    neighbours: Position in the gallery of the K neighbours of each query, int
      [Q, K].

  Returns:
    bool [Q, K].
  """
  columns = [(queries & gallery[rows]).any(axis=1) for rows in neighbours.T]
  return np.stack(columns, axis=1)


def hit_rates(hits: np.ndarray, ks: Sequence[int]) -> dict[str, float]:
  """Percentages of queries with a hit among the first k, for each k.

  Args:
    hits: Whether each of K neighbours has a class of its query, bool [Q, K].
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
  queries: Outputs,
  gallery: Outputs,
  ks: Sequence[int],
  classes: int,
  exclude: str = "",
) -> dict[str, float]:
  """The expected `hit_rates` of neighbours that are drawn at random.

  Args:
    queries: The segments to search for.
    gallery: The segments to search.
    ks: Numbers of neighbours.
    classes: Number of classes.
    exclude: Which segments are left out, see `owners`.

  Returns:
    Percentages by name: 'top1', 'top5', ….
  """
  sums = dict.fromkeys(ks, 0.0)
  shown = gallery.shown(classes)
  owned, owner_of = owners(queries, gallery, exclude)
  for true, owner in zip(queries.classes, owned, strict=True):
    rest = owner_of != owner
    hits = shown[:, true].any(axis=1)
    size, others = int(rest.sum()), int(np.sum(rest & ~hits))
    for k in ks:
      sums[k] += _chance(others, size, min(k, size))
  return {f"top{k}": 100.0 * sums[k] / len(queries.segments) for k in ks}
