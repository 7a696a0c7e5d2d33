"""Task `bias`: do features show the scene of a video, or its motion?

After SCUBA and SCUFO (Li et al., ICCV 2023), for any checkpoint: the gallery
stays as it is, and the test videos search it as they are and under each
condition.

- background: what moves, before the background of a video of other classes.
- stripes: what moves, before stripes.
- frozen: the middle frame of each clip, repeated.
- reversed, shuffled: all frames of each clip, in another order.
- every second: every second frame of each clip, held for two.

Accuracy is measured as by task `retrieve`. Besides, each test video is compared
with itself under each condition, and from that follows the share of the motion,
see `bias.motion_share`.
"""

import dataclasses
import logging
import math
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
from etils import epath

from hdc_jax import report
from hdc_jax.data.clips import conditions
from hdc_jax.data.clips.conditions import Change
from hdc_jax.data.labels.splits import split_names
from hdc_jax.data.labels.targets import Target, chosen_targets
from hdc_jax.data.store.index import Index
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import bias, features, pretrained, statistics
from hdc_jax.evaluate.evaluation import Evaluation, Outputs
from hdc_jax.evaluate.features import FeaturesOfBlocks
from hdc_jax.options import Options, option
from hdc_jax.runs import results
from hdc_jax.runs.text_table import CONFIDENCE, format_result
from hdc_jax.tasks.base import Task, make_stamp
from hdc_jax.tasks.retrieve import Searching

_log = logging.getLogger(__name__)

_UNCHANGED = "unchanged"
# Below, a clip has neither an order nor a background.
_FEWEST_FRAMES = 3
# Percentages of the picture below and above which the foreground is not what
# moves before a background.
_USUAL_FOREGROUND = (0.5, 50.0)


@dataclasses.dataclass(frozen=True)
class Masks(Options, section="bias"):
  """How the foreground of a clip is found."""

  threshold: float = option(
    12.0,
    "Difference of luma, in levels of 256, between a frame and the median "
    "frame of its shot, above which a pixel belongs to the foreground.",
    above=0,
    below=256,
  )


@dataclasses.dataclass(frozen=True)
class Bias(Searching):
  """Options of task `bias`.

  Attributes:
    features: The features that are compared.
    masks: How the foreground of a clip is found.
  """

  features: FeaturesOfBlocks
  masks: Masks

  def __post_init__(self) -> None:
    """Checks that clips have an order and a background."""
    if self.clips.frames < _FEWEST_FRAMES:
      raise ConfigError(
        f"config.data.frames={self.clips.frames} must be at least "
        f"{_FEWEST_FRAMES} for task bias, which changes the order of frames"
      )

  def check_dataset(self, index: Index) -> None:
    """Checks that each test split has videos to exchange backgrounds with."""
    super().check_dataset(index)
    for _, test in split_names(self.folds, self.tested.split, index).values():
      if len(index.split(test)) < 2:
        raise ConfigError(
          f"config.test.split={self.tested.split}: {test} has a single video, "
          "and no other one to exchange its background with: test on more"
        )

  def describe_clips(self, index: Index) -> str:
    """Says how often test videos are encoded, for the log.

    Args:
      index: The index of the dataset.
    """
    folds = split_names(self.folds, self.tested.split, index).values()
    videos = sum(len(index.split(test)) for _, test in folds)
    passes = 1 + len(conditions.CONDITIONS)
    labels = len(chosen_targets(self.folds, index))
    return (
      f"{videos:,} test videos are encoded {passes} times for each of {labels} "
      "labels: once for each condition"
    )


def run(config: ml_collections.ConfigDict, workdir: str) -> dict[str, Any]:
  """Measures accuracy and similarity under each condition, for every label.

  Args:
    config: A config of this task, see `config.default`.
    workdir: Directory of the run. It gets result.json, a picture of clips under
      each condition, and report.html. If it has this result already, nothing is
      computed.

  Returns:
    The content of result.json. `rows` has, for each label, network, endpoint
    and condition, hit rates and kNN as by task `retrieve`, and 100 times the
    mean cosine similarity of a test video to itself unchanged; `motion_share`
    in percent with the unchanged videos, and their mean similarity to each
    other in the row 'another video'.

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
  stamp = make_stamp("bias", run_config, loaded.name, source)
  result = results.read_result(workdir)
  if stamp.items() <= result.items():
    _log.info("%s has this result already", workdir)
  else:
    _log.info("%s", options.describe_clips(source.index))
    results.write_config(workdir, run_config.values)
    weights = options.weights(loaded, mesh)
    tester = _Tester(options, evaluation, weights, workdir)
    rows = [
      row
      for target in targets
      for fold, splits in folds.items()
      for row in tester.measure(target, fold, splits)
    ]
    warnings = _warnings(rows)
    result = results.write_result(
      workdir, stamp | warnings | evaluation.omissions | {"rows": rows}
    )
  print(format_result(result))
  page = report.write(workdir, runs=[loaded.run, workdir])
  print(f"report: {page}")
  return result


def _warnings(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
  """Logs a warning of each label whose foreground is hardly that.

  Args:
    rows: The rows of the result.

  Returns:
    The entry `warnings` of result.json; nothing if there are none.
  """
  low, high = _USUAL_FOREGROUND
  shares = {r["label"]: r["foreground"] for r in rows if "foreground" in r}
  warnings = [
    f"{label}: {share:.1f} % of the picture counts as foreground, and is kept "
    "when the background is exchanged: the camera moves, or nothing does; or "
    "choose another config.bias.threshold"
    for label, share in shares.items()
    if not low <= share <= high
  ]
  for warning in warnings:
    _log.warning(warning)
  return {"warnings": warnings} if warnings else {}


class _Tester:
  """Tests several networks and endpoints, which encode in one program."""

  def __init__(
    self,
    options: Bias,
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
    self._options, self._evaluation = options, evaluation
    self._test = options.neighbour_test(evaluation.mesh)
    self._weights, self._workdir = dict(weights), epath.Path(workdir)
    self._names = {
      f"{network}/{endpoint}": {"network": network, "endpoint": endpoint}
      for network in weights
      for endpoint in options.features.endpoints
    }
    describe = features.make_describe_blocks(options.model, options.features)

    def compute(weights: Any, clips: jax.Array) -> dict[str, jax.Array]:
      return {
        f"{network}/{endpoint}": vectors
        for network, w in weights.items()
        for endpoint, vectors in describe(w, clips).items()
      }

    view = evaluation.view
    self._encoder = features.make_encoder(compute, view, evaluation.mesh)

  def measure(
    self, target: Target, fold: str, splits: tuple[str, str]
  ) -> list[dict[str, Any]]:
    """Measures one label or tag in one fold, and draws the conditions.

    Args:
      target: The label or tag.
      fold: Number of the fold; '' if the dataset has only one.
      splits: Names of the split to search, and of the split with the queries.

    Returns:
      Rows for each network and endpoint, and one for chance.
    """
    evaluation, label = self._evaluation, target.name
    gallery, plain = (self._encode(split, label) for split in splits)
    segments, threshold = plain.segments, self._options.masks.threshold
    donors = bias.find_donors(evaluation.source, segments)
    changes = {
      condition: Change(condition, threshold, donors)
      for condition in conditions.CONDITIONS
    }
    title = f"{label} {fold}".strip()
    bias.draw_sheet(
      self._workdir / f"conditions-{title.replace(' ', '-')}.png",
      evaluation,
      target,
      plain,
      changes,
    )
    kept = bias.foreground_share(evaluation, label, segments, threshold)
    # By name of the features: the entries of each condition.
    measured: dict[str, dict[str, dict[str, Any]]] = {}
    for name in self._names:
      measured[name] = {_UNCHANGED: self._rates(target, name, plain, gallery)}
    for condition, change in changes.items():
      changed = self._encode(splits[1], label, change)
      if changed.segments != segments:
        raise DataError(
          f"{label} of {splits[1]}, {condition}: videos cannot be decoded any "
          "more that could before, see the warnings above: run it again"
        )
      for name in self._names:
        entries = self._rates(target, name, changed, gallery)
        entries |= _similarity(plain.values[name], changed.values[name])
        if condition in conditions.EXCHANGED:
          entries["foreground"] = 100.0 * kept
        measured[name][condition] = entries
    rows = []
    for name, by_condition in measured.items():
      reference = bias.mean_of_others(plain.values[name], plain.videos)
      by_condition[_UNCHANGED] |= _share(by_condition, reference)
      by_condition["another video"] = {"similarity": 100.0 * reference}
      rows += [
        {"name": f"{title}/{name}/{condition}", "label": title}
        | self._names[name]
        | {"condition": condition}
        | entries
        for condition, entries in by_condition.items()
      ]
    chance = self._test.chance(target, plain, gallery)
    about = {"name": f"{title}/chance", "label": title, "network": "chance"}
    return [*rows, about | chance]

  def _encode(
    self, split: str, label: str, change: Change | None = None
  ) -> Outputs:
    """Encodes a split; the values are features by network and endpoint."""
    condition = f", {change.condition}" if change else ""
    return self._evaluation.encode(
      self._encoder,
      self._weights,
      self._evaluation.source.index.split(split),
      label=label,
      change=change,
      title=f"{label} of {split}{condition}",
    )

  def _rates(
    self, target: Target, name: str, queries: Outputs, gallery: Outputs
  ) -> dict[str, Any]:
    """The hit rates and the accuracy of the votes, in percent."""
    neighbours = self._test.search(name, queries, gallery)
    return self._test.rates(target, neighbours, queries, gallery)


def _similarity(plain: Any, changed: Any) -> dict[str, float]:
  """100 times the mean cosine similarity in pairs, with its interval."""
  mean, half = statistics.confidence(
    (100.0 * bias.cosines(plain, changed)).tolist()
  )
  return {"similarity": mean, f"similarity{CONFIDENCE}": half}


def _share(
  by_condition: Mapping[str, Mapping[str, float]], reference: float
) -> dict[str, float]:
  """The share of the motion in percent; nothing if it is not defined."""
  exchanged, frozen = (
    by_condition[condition]["similarity"] / 100.0
    for condition in ("background", "frozen")
  )
  share = bias.motion_share(exchanged, frozen, reference)
  return {} if math.isnan(share) else {"motion_share": 100.0 * share}


TASK = Task(
  "bias",
  "scene-bias test",
  Bias,
  run,
  # As task `retrieve`.
  recipe={"data.folds": (1,), "features.pool": "cells"},
  batches=("test.batch_size",),
)
