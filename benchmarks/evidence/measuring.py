"""What the network of a run tells apart, at every endpoint and by every label.

Three measures, in per cent: `top1`, the nearest neighbour has the class of the
query; `knn`, the weighted votes of 20 neighbours have it; `ridge`, a linear
classifier in closed form has it. Where the groups of a dataset are left out, no
query meets features of its own group in any of the three.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
import numpy as np

from hdc_jax import health
from hdc_jax.data.labels.splits import split_names
from hdc_jax.data.labels.targets import Target, chosen_targets
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.evaluate import (
  features,
  neighbour_sheet,
  pretrained,
  retrieval,
  ridge,
  search,
)
from hdc_jax.evaluate.evaluation import Outputs
from hdc_jax.evaluate.kinds import kind_of
from hdc_jax.runs import metrics
from hdc_jax.tasks import pretrain, retrieve
from hdc_jax.train import monitor

TRAINED, UNTRAINED, CHANCE = "trained", "untrained", "chance"
MEASURES = ("top1", "knn", "ridge")
# The share of a run after which its health is compared with what it becomes.
EARLY = 0.2

# Measures by endpoint; and these by label.
ByLabel = dict[str, dict[str, dict[str, float]]]


def measure(
  config: ml_collections.ConfigDict, sheets: Mapping[str, pathlib.Path]
) -> dict[str, ByLabel]:
  """Measures a run and the same network with its initial weights.

  Args:
    config: A config of task `retrieve`, whose checkpoint is the run.
    sheets: By label, a picture to draw: queries and the nearest neighbours of
      the trained network at block 5.

  Returns:
    For the trained network, for the untrained one and for chance, the measures
    by label and endpoint.
  """
  options, _ = retrieve.TASK.resolve(config)
  evaluation = options.open()
  index, mesh = evaluation.source.index, evaluation.mesh
  loaded = pretrained.load(options.checkpoint, mesh, options.model)
  networks = {
    TRAINED: loaded.variables,
    UNTRAINED: pretrained.initial(loaded.backbone, loaded.config["seed"], mesh),
  }
  network = options.model.make()

  def compute(weights: Any, clips: jax.Array) -> dict[str, jax.Array]:
    return {
      f"{name} {endpoint}": features.pool(value, "average")
      for name, variables in weights.items()
      for endpoint, value in _endpoints(network, variables, clips).items()
    }

  encoder = features.make_encoder(compute, evaluation.view, mesh)
  found: dict[str, ByLabel] = {name: {} for name in (*networks, CHANCE)}
  splits = split_names(options.folds, options.tested.split, index)
  for target in chosen_targets(options.folds, index):
    gallery, queries = (
      evaluation.encode(
        encoder, networks, index.split(split), label=target.name
      )
      for split in splits[""]
    )
    owned = retrieval.owners(queries, gallery, options.tested.exclude)
    for name in gallery.values:
      neighbours = search.nearest(
        queries.values[name],
        gallery.values[name],
        *owned,
        options.search.neighbours,
        mesh,
      )
      network_name, endpoint = name.split(" ")
      by_endpoint = found[network_name].setdefault(target.name, {})
      by_endpoint[endpoint] = _classify(
        options.search, target, gallery, queries, owned, name, neighbours
      )
      if name == f"{TRAINED} block5" and target.name in sheets:
        neighbour_sheet.draw_sheet(
          sheets[target.name],
          evaluation,
          target.classes,
          queries,
          gallery,
          neighbours.indices,
        )
    chance = retrieval.chance_rates(
      queries, gallery, (1,), len(target.classes), options.tested.exclude
    )
    found[CHANCE][target.name] = {"": chance}
  return found


def watch(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """What a run's measures of health said, early on and all along.

  Args:
    config: The config of the pretraining.
    workdir: Directory of the run.

  Returns:
    'early', the mean of each measure of health over what it is measured of, at
    the first logged step after a fifth of the run; and 'alarms', the step, the
    word and the kind of each finding.
  """
  options, _ = pretrain.TASK.resolve(config)
  objective = options.make_training(mesh_lib.make_mesh()).objective
  steps = options.train.steps
  judge = monitor.Monitor(objective.chance(options.batches.batch_size), steps)
  lines = [line for line in metrics.read_metrics(workdir) if "loss" in line]
  alarms = [
    {"step": line["step"], "word": found.word, "kind": found.kind}
    for line in lines
    for found in judge.add(line)
  ]
  early = next(line for line in lines if line["step"] >= EARLY * steps)
  values: dict[str, list[float]] = {}
  for name, value in early.items():
    if name.startswith(health.PREFIX):
      measure_name = name.removeprefix(health.PREFIX).split("/")[0]
      values.setdefault(measure_name, []).append(value)
  means = {name: float(np.mean(found)) for name, found in values.items()}
  return {"early": means, "alarms": alarms}


def _endpoints(
  network: Any, variables: Any, clips: jax.Array
) -> Mapping[str, jax.Array]:
  """The activations of a network by endpoint."""
  return network.apply(variables, clips)


def _classify(
  options: retrieve.Search,
  target: Target,
  gallery: Outputs,
  queries: Outputs,
  owned: tuple[np.ndarray, np.ndarray],
  name: str,
  neighbours: search.Neighbours,
) -> dict[str, float]:
  """The measures of one network at one endpoint by one label."""
  classes, kind = len(target.classes), kind_of(target)
  sought, shown = (o.shown(classes) for o in (queries, gallery))
  vectors = queries.values[name], gallery.values[name]
  hits = retrieval.shared(sought, shown, neighbours.indices)
  votes = search.knn_scores(
    neighbours, shown, options.temperature, options.neighbours
  )
  linear = _ridge(*vectors, shown, *owned)
  by_kind = {
    measure: kind.predict(target, queries, scores).measures()[kind.measures[0]]
    for measure, scores in (("knn", votes), ("ridge", linear))
  }
  return retrieval.hit_rates(hits, (1,)) | by_kind


def _ridge(
  queries: np.ndarray,
  gallery: np.ndarray,
  shown: np.ndarray,
  owned: np.ndarray,
  owner_of: np.ndarray,
) -> np.ndarray:
  """Scores by classifiers that never saw an owner of their queries.

  Args:
    queries: Features to classify, float [Q, D].
    gallery: Features to learn from, float [G, D].
    shown: Whether each of them shows each class, bool [G, C].
    owned: Owner of each query, int [Q].
    owner_of: Owner of each row of the gallery, int [G].

  Returns:
    float [Q, C].
  """
  if not np.intersect1d(owned, owner_of).size:
    return ridge.scores(gallery, shown, queries)
  scores = np.empty((len(queries), shown.shape[1]), np.float32)
  for owner in np.unique(owned):
    mine, others = owned == owner, owner_of != owner
    scores[mine] = ridge.scores(gallery[others], shown[others], queries[mine])
  return scores
