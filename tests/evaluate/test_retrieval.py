"""Rates of hits by hand, and those of chance by simulation."""

import numpy as np
import pytest
import scipy.stats

from hdc_jax.data.labels.segments import Segment
from hdc_jax.errors import ConfigError
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
  """Features of nothing, with a video of its own for each label."""
  found = [
    Segment(first_video + i, 0, 1, int(label)) for i, label in enumerate(labels)
  ]
  groups, tags = [""] * len(found), [[]] * len(found)
  return Outputs(found, [], {}, groups, tags)


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
    segments(queries), segments(gallery, 0 if own else 100), (1, 4), 3
  )
  for k, found in want.items():
    assert abs(got[f"top{k}"] - np.mean(found)) < 1.5


def tagged(tags, groups, first_video=0):
  """Features of nothing, with a video for each list of tags."""
  found = [Segment(first_video + i, 0, 1, -1) for i in range(len(tags))]
  return Outputs(found, [], {}, groups, tags)


@pytest.mark.parametrize("exclude", ["", "group"])
def test_chance_of_tags_without_the_own_group(exclude):
  """A hit shares a class; videos without a group are alone in theirs."""
  tags = [[0], [1], [0, 1], [2], [], [1, 2], [0], [2], [1], [0, 2]]
  groups = ["a", "a", "a", "b", "b", "b", "", "", "c", "c"]
  videos = tagged(tags, groups)
  got = retrieval.chance_rates(videos, videos, (1, 3), 3, exclude)
  for k in (1, 3):
    chances = []
    for i, query in enumerate(tags):
      hits = [
        not set(query).isdisjoint(tags[j])
        for j in range(len(tags))
        if j != i and not (exclude and groups[i] and groups[j] == groups[i])
      ]
      drawn = scipy.stats.hypergeom(len(hits), sum(hits), k)
      chances.append(1 - drawn.pmf(0))
    assert got[f"top{k}"] == pytest.approx(100 * np.mean(chances))


def test_owners():
  """Equal numbers are of one video, or of one group if groups are left out."""
  queries = tagged([[]] * 3, ["a", "b", ""])
  gallery = tagged([[]] * 4, ["b", "", "a", "c"], first_video=1)

  def own(exclude):
    one, other = retrieval.owners(queries, gallery, exclude)
    return (one[:, None] == other).tolist()

  assert own("") == [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
  # Video 2, in both, has no group: it is left out as itself.
  assert own("group") == [[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]]


def test_one_group_leaves_nothing():
  videos = tagged([[]] * 3, ["a"] * 3)
  with pytest.raises(ConfigError, match="exclude='group' leaves no video"):
    retrieval.owners(videos, videos, "group")


def test_shared():
  queries = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0]], bool)
  gallery = np.array([[1, 1, 0], [0, 0, 1]], bool)
  found = retrieval.shared(queries, gallery, np.array([[0, 1], [1, 0], [0, 1]]))
  assert found.tolist() == [[True, False], [True, True], [False, False]]
