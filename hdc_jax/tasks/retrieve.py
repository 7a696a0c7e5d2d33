"""Task `retrieve`: nearest neighbours and kNN, without any training.

The protocol of video clip order prediction, which the HDC paper follows: the
features of the last block are averaged over evenly spread clips in their centre
crops, and compared by cosine distance. The segments of one split are the
queries, and those of another are searched, without those of the query's own
video or, if asked for, of its group. A query is a hit at k if one of its k
nearest neighbours has its class, or shares a class of a tag with it. The
weighted votes of the neighbours also classify the query (kNN).
"""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
from etils import epath
from jax.sharding import Mesh

from hdc_jax import report
from hdc_jax.data.labels.splits import split_names
from hdc_jax.data.labels.targets import Target, chosen_targets
from hdc_jax.data.options import Searched
from hdc_jax.data.store.index import Index
from hdc_jax.errors import ConfigError
from hdc_jax.evaluate import (
  features,
  neighbour_sheet,
  pretrained,
)
from hdc_jax.evaluate.evaluation import Evaluation, Outputs
from hdc_jax.evaluate.features import Features
from hdc_jax.evaluate.neighbour_test import NeighbourTest
from hdc_jax.options import Options, option
from hdc_jax.runs import results
from hdc_jax.runs.text_table import format_result
from hdc_jax.tasks import costs
from hdc_jax.tasks.base import FrozenBackbone, Task, make_stamp
from hdc_jax.tasks.train_and_test import TrainAndTest
from hdc_jax.train import flops

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Search(Options, section="retrieve"):
  """Options of the search for neighbours."""

  topk: tuple[int, ...] = option(
    (1, 5, 10, 20, 50),
    "Values of k: a query is a hit at k if one of its k nearest neighbours has "
    "its class, or at least one class of a tag in common with it.",
    required="name at least one number, such as (1,)",
    at_least=1,
  )
  neighbours: int = option(
    20, "Neighbours that vote in kNN classification.", at_least=1
  )
  temperature: float = option(
    0.07,
    "Temperature of the votes: the smaller it is, the more the nearest "
    "neighbours count.",
    above=0,
  )
  untrained: bool = option(
    True, "Whether the network with its initial weights is measured too."
  )


@dataclasses.dataclass(frozen=True)
class Searching(TrainAndTest):
  """Options of tasks that search nearest neighbours.

  Attributes:
    frozen: Checkpoint of the backbone to evaluate.
    search: The search for neighbours.
  """

  tested: Searched
  frozen: FrozenBackbone
  search: Search

  @property
  def checkpoint(self) -> str:
    """Path of the run or checkpoint whose backbone is evaluated."""
    return self.frozen.checkpoint

  def check_dataset(self, index: Index) -> None:
    """Checks that a dataset has such clips, labels, splits and groups."""
    super().check_dataset(index)
    if self.tested.exclude == "group" and not index.groups:
      raise ConfigError(
        "config.test.exclude=group: the videos of this dataset have no groups: "
        "leave it out, or prepare the dataset with a group for each video"
      )

  def neighbour_test(self, mesh: Mesh) -> NeighbourTest:
    """The search, on the devices of a mesh."""
    return NeighbourTest(
      self.search.topk,
      self.search.neighbours,
      self.search.temperature,
      self.tested.exclude,
      mesh,
    )

  def weights(
    self, loaded: pretrained.Pretrained, mesh: Mesh
  ) -> dict[str, Any]:
    """The variables of the networks to measure, by name of the network.

    Args:
      loaded: The trained backbone.
      mesh: The devices over which the weights are replicated.
    """
    weights = {"trained": loaded.variables}
    if self.search.untrained:
      seed = loaded.config["seed"]
      weights["untrained"] = pretrained.initial(loaded.backbone, seed, mesh)
    return weights


@dataclasses.dataclass(frozen=True)
class Retrieve(Searching):
  """Options of task `retrieve`.

  Attributes:
    features: The features that are compared.
  """

  features: Features


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Measures retrieval by every label in `config.data.labels`.

  Args:
    config: A config of this task, see `config.default`.
    workdir: Directory of the run. It gets result.json, pictures of neighbours
      and report.html. If it has this result already, nothing is computed.

  Returns:
    The content of result.json. For each label, `rows` has the hit rates of the
    trained network, of the untrained one and of chance, in percent.

  Raises:
    ConfigError: If the config is wrong, or does not fit the data or the
      checkpoint.
    DataError: If the data or the checkpoint is missing or damaged.
  """
  options, run_config = TASK.resolve(config)
  evaluation = options.open()
  source, mesh = evaluation.source, evaluation.mesh
  loaded = pretrained.load(options.checkpoint, mesh, options.model)
  targets = chosen_targets(options.folds, source.index)
  folds = split_names(options.folds, options.tested.split, source.index)
  stamp = make_stamp("retrieve", run_config, loaded.name, source)
  result = results.read_result(workdir)
  if stamp.items() <= result.items():
    _log.info("%s has this result already", workdir)
  else:
    results.write_config(workdir, run_config.values)
    weights = options.weights(loaded, mesh)
    searcher = _Searcher(options, evaluation, weights, workdir)
    rows = [
      row
      for target in targets
      for fold, splits in folds.items()
      for row in searcher.measure(target, fold, splits)
    ]
    result = results.write_result(
      workdir, stamp | evaluation.omissions | {"rows": rows}
    )
  print(format_result(result))
  page = report.write(workdir, runs=[loaded.run, workdir])
  print(f"report: {page}")
  return result


class _Searcher:
  """Measures retrieval with several networks, which encode in one program."""

  def __init__(
    self,
    options: Retrieve,
    evaluation: Evaluation,
    weights: Mapping[str, Any],
    workdir: str,
  ) -> None:
    """Makes the encoder of clips to the features of every network.

    Args:
      options: Options of the task.
      evaluation: The videos, and which clips of them are encoded.
      weights: The variables of the backbone, by name of the network.
      workdir: Directory of the run.
    """
    self._evaluation = evaluation
    self._test = options.neighbour_test(evaluation.mesh)
    self._weights, self._workdir = dict(weights), epath.Path(workdir)
    describe = features.make_describe(options.model, options.features)

    def compute(weights: Any, clips: jax.Array) -> dict[str, jax.Array]:
      return {name: describe(w, clips) for name, w in weights.items()}

    view = evaluation.view
    self._encoder = features.make_encoder(compute, view, evaluation.mesh)

  def measure(
    self, target: Target, fold: str, splits: tuple[str, str]
  ) -> list[dict[str, Any]]:
    """Measures one label or tag in one fold, and draws a sheet of neighbours.

    Args:
      target: The label or tag.
      fold: Number of the fold; '' if the dataset has only one.
      splits: Names of the split to search, and of the split with the queries.

    Returns:
      A row for each network, and one for chance.
    """
    gallery, queries = (self._encode(split, target.name) for split in splits)
    title = f"{target.name} {fold}".strip()
    rows = []
    for network in self._weights:
      neighbours = self._test.search(network, queries, gallery)
      if network == "trained":
        sheet = f"neighbours-{title.replace(' ', '-')}.png"
        neighbour_sheet.draw_sheet(
          self._workdir / sheet,
          self._evaluation,
          target.classes,
          queries,
          gallery,
          neighbours.indices,
        )
      rows.append(
        {"name": f"{title}/{network}", "label": title, "network": network}
        | self._test.rates(target, neighbours, queries, gallery)
      )
    chance = self._test.chance(target, queries, gallery)
    rows.append(
      {"name": f"{title}/chance", "label": title, "network": "chance"} | chance
    )
    return rows

  def _encode(self, split: str, label: str) -> Outputs:
    """Encodes the segments of a split; the values are features by network."""
    return self._evaluation.encode(
      self._encoder,
      self._weights,
      self._evaluation.source.index.split(split),
      label=label,
      title=f"{label} of {split}",
    )


def cost(options: Retrieve, counts: Mapping[str, int]) -> costs.Cost:
  """Estimates the cost of a run: the features of all videos.

  Args:
    options: Options of the task.
    counts: Number of videos of each split.
  """
  shown = options.clips, options.shown, options.model.size
  clip = costs.clip_shape(*shown, axes=(1,))
  backbone = options.model.make()
  variables = jax.eval_shape(backbone.init, jax.random.key(0), clip)
  videos = sum(
    counts[f"{split}{fold}"]
    for fold in options.folds.folds or (1, 2, 3)
    for split in (options.folds.split, options.tested.split)
  )
  networks = 1 + options.search.untrained
  clips = costs.clips_per_video(*shown) * videos * networks
  per_clip = flops.count_flops(backbone.apply, variables, clip)
  return costs.Cost(clips=clips, flops=clips * per_clip)


TASK = Task(
  "retrieve",
  "retrieval",
  Retrieve,
  run,
  # Values of video clip order prediction, which uses the first fold alone.
  recipe={"data.folds": (1,), "features.pool": "cells"},
  batches=("test.batch_size",),
  cost=cost,
)
