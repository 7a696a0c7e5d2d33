"""Task `retrieve`: nearest neighbours and kNN, without any training.

The protocol of video clip order prediction, which the HDC paper follows: clips
at evenly spread times, centre crop, features of the last block, their mean,
cosine distance; queries of one split search another, and a query is a hit at k
if its class is among its k nearest. The votes of its neighbours, weighted, are
a classification too.
"""

import functools
import logging
from collections.abc import Mapping, Sequence
from math import comb
from typing import Any

import jax
import ml_collections
import numpy as np

from hdc_jax import report
from hdc_jax.data.labels.splits import chosen_labels, split_names
from hdc_jax.evaluate import features, neighbour_sheet, search, setup
from hdc_jax.runs import results
from hdc_jax.runs.predictions import Predictions
from hdc_jax.runs.rows import format_rows
from hdc_jax.train import pretrained

_log = logging.getLogger(__name__)


def hit_rates(hits: np.ndarray, ks: Sequence[int]) -> dict[str, float]:
  """Percentages of queries with a hit among the first k, for each k.

  Args:
    hits: bool [Q, K], whether the class of each neighbour is the query's.
    ks: Cut-offs; one beyond K counts all there are.

  Returns:
    'top<k>' → percentage.
  """
  return {f"top{k}": 100.0 * hits[:, :k].any(axis=1).mean() for k in ks}


@functools.cache
def _chance(others: int, size: int, k: int) -> float:
  """That `k` draws of `size`, of which `others` are wrong, hit once."""
  return 1.0 - comb(others, k) / comb(size, k)


def chance_rates(
  queries: features.Outputs, gallery: features.Outputs, ks: Sequence[int]
) -> dict[str, float]:
  """What `hit_rates` are in expectation for neighbours drawn at random."""
  sums = dict.fromkeys(ks, 0.0)
  labels, videos = gallery.labels, gallery.videos
  for part in queries.parts:
    rest = labels[videos != part.video]
    others = int(np.sum(rest != part.label))
    for k in ks:
      sums[k] += _chance(others, len(rest), min(k, len(rest)))
  return {f"top{k}": 100.0 * sums[k] / len(queries.parts) for k in ks}


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Measures retrieval by every label in `config.data.labels`.

  Args:
    config: Resolved; see `config.default`.
    workdir: Gets result.json, pictures of neighbours and report.html. If it
      holds this very result, nothing is computed.

  Returns:
    What result.json holds; under `rows`, for each label, the rates of the
    trained network, of the untrained one and of chance.

  Raises:
    ConfigError, DataError: If config, data or checkpoint are wrong.
  """
  made = setup.set_up(config, "retrieve")
  labels = chosen_labels(config, made.source)
  divisions = split_names(config, made.source)
  result = results.read_result(workdir)
  if made.stamp.items() <= result.items():
    _log.info("%s holds this result already", workdir)
  else:
    results.write_config(workdir, config)
    weights = {"trained": made.loaded.variables}
    if config.retrieve.untrained:
      weights["untrained"] = pretrained.initial(made.loaded.config, made.mesh)
    look = _Look(config, made, weights)
    rows = [
      row
      for label in labels
      for fold, splits in divisions.items()
      for row in _measure(look, workdir, label, fold, splits)
    ]
    result = results.write_result(workdir, made.stamp | {"rows": rows})
  print(format_rows(result["rows"]))
  page = report.write(workdir, runs=[made.loaded.run, workdir])
  print(f"report: {page}")
  return result


class _Look:
  """From splits to features, compiled once for all of them."""

  def __init__(
    self,
    config: ml_collections.ConfigDict,
    made: setup.Setup,
    weights: Mapping[str, Any],
  ) -> None:
    """Builds the network for weights by name."""
    self.config, self.source, self.mesh = config, made.source, made.mesh
    self.networks = tuple(weights)
    self._weights = dict(weights)
    self._looks = made.looks
    describe = features.make_describe(config)

    def compute(weights: Any, clips: jax.Array) -> dict[str, jax.Array]:
      return {name: describe(found, clips) for name, found in weights.items()}

    view = features.centre_view(self._looks.size)
    self._encode = features.make_encoder(compute, view, made.mesh)

  def __call__(self, split: str, label: str) -> features.Outputs:
    """The features of all parts of a split by a label, by network."""
    return features.extract(
      self._encode,
      self._weights,
      self.source,
      self.source.index.split(split),
      self.config,
      self.mesh,
      label=label,
      looks=self._looks,
      title=f"{label} of {split}",
    )


def _measure(
  look: _Look, workdir: str, label: str, fold: str, splits: tuple[str, str]
) -> list[dict[str, Any]]:
  """Measures one label in one division, and draws a sheet of neighbours.

  Returns:
    A row per set of weights, and one for chance.
  """
  gallery, queries = (look(split, label) for split in splits)
  names = np.array(look.source.index.labels[label])
  options = look.config.retrieve
  title = f"{label} {fold}".strip()
  rows = []
  for network in look.networks:
    neighbours = search.nearest(
      queries.values[network],
      gallery.values[network],
      queries.videos,
      gallery.videos,
      max(*options.topk, options.neighbours),
      look.mesh,
    )
    if network == "trained":
      neighbour_sheet.draw_sheet(
        workdir,
        title,
        look.config,
        look.source,
        label,
        queries,
        gallery,
        neighbours.indices,
      )
    hits = gallery.labels[neighbours.indices] == queries.labels[:, None]
    hits &= ~np.isneginf(neighbours.similarities)
    votes = search.knn_scores(
      neighbours,
      gallery.labels,
      len(names),
      options.temperature,
      options.neighbours,
    )
    voted = Predictions(
      np.array(queries.ids), queries.labels, votes, names, label
    )
    rows.append(
      {"name": f"{title}/{network}", "label": title, "network": network}
      | hit_rates(hits, options.topk)
      | {"knn": voted.top(1)}
    )
  chance = chance_rates(queries, gallery, options.topk)
  rows.append(
    {"name": f"{title}/chance", "label": title, "network": "chance"} | chance
  )
  return rows
