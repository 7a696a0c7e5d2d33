"""A test of features by the nearest neighbours of queries in a gallery."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jax.sharding import Mesh

from hdc_jax.data.labels.targets import Target
from hdc_jax.evaluate import retrieval
from hdc_jax.evaluate import search as search_lib
from hdc_jax.evaluate.evaluation import Outputs
from hdc_jax.evaluate.kinds import kind_of


@dataclasses.dataclass(frozen=True)
class NeighbourTest:
  """A search for neighbours, and what is measured of them.

  Attributes:
    topk: Numbers of neighbours among which a hit is counted.
    neighbours: Neighbours that vote.
    temperature: Temperature of the votes.
    exclude: Which segments are left out, see `retrieval.owners`.
    mesh: The devices that search.
  """

  topk: Sequence[int]
  neighbours: int
  temperature: float
  exclude: str
  mesh: Mesh

  def search(
    self, name: str, queries: Outputs, gallery: Outputs
  ) -> search_lib.Neighbours:
    """Finds the nearest neighbours of every query.

    Args:
      name: Name of the outputs that are compared.
      queries: The segments to search for.
      gallery: The segments to search.

    Raises:
      ConfigError, DataError: See `retrieval.owners` and `search.nearest`.
    """
    return search_lib.nearest(
      queries.values[name],
      gallery.values[name],
      *retrieval.owners(queries, gallery, self.exclude),
      max(*self.topk, self.neighbours),
      self.mesh,
    )

  def rates(
    self,
    target: Target,
    neighbours: search_lib.Neighbours,
    queries: Outputs,
    gallery: Outputs,
  ) -> dict[str, float]:
    """The hit rates, and how good the neighbours' votes are, in percent.

    Args:
      target: The label or tag.
      neighbours: The neighbours of every query.
      queries: The segments that were searched for.
      gallery: The segments that were searched.
    """
    sought, shown = (o.shown(len(target.classes)) for o in (queries, gallery))
    hits = retrieval.shared(sought, shown, neighbours.indices)
    hits &= ~np.isneginf(neighbours.similarities)
    votes = search_lib.knn_scores(
      neighbours, shown, self.temperature, self.neighbours
    )
    kind = kind_of(target)
    voted = kind.predict(target, queries, votes).measures()
    return retrieval.hit_rates(hits, self.topk) | {
      kind.votes: voted[kind.measures[0]]
    }

  def chance(
    self, target: Target, queries: Outputs, gallery: Outputs
  ) -> dict[str, float]:
    """The expected hit rates of random neighbours, in percent.

    Args:
      target: The label or tag.
      queries: The segments to search for.
      gallery: The segments to search.
    """
    classes = len(target.classes)
    return retrieval.chance_rates(
      queries, gallery, self.topk, classes, self.exclude
    )
