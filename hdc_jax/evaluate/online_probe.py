"""The online probe: what a network in training tells apart, by labels.

A small fixed set of labelled videos is encoded by the network as it is at some
steps: one clip of each segment of a label, in its centre crop, pooled at every
endpoint. Those of one split are the gallery, from which two classifiers learn,
kNN and ridge regression, and those of another are the queries, which they
classify. Nothing of this reaches the training: it sees no label, and goes on as
it would without the probe.

Choice: The videos are drawn from a whole split, not from each class alike, so
that not all of its labels have to be read. One clip of each segment is encoded,
the first, as the probe is for comparing steps.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.labels.segments import Segment, segments_of
from hdc_jax.data.labels.targets import Target, choose_targets, targets_of
from hdc_jax.data.store.index import Index
from hdc_jax.distributed import processes
from hdc_jax.errors import ConfigError, DataError, choose
from hdc_jax.evaluate import features, retrieval, ridge, search
from hdc_jax.evaluate.evaluation import Evaluation, Outputs
from hdc_jax.evaluate.features import ENDPOINTS
from hdc_jax.evaluate.kinds import kind_of
from hdc_jax.models import BackboneOptions
from hdc_jax.options import Options, option
from hdc_jax.runs.metrics import PROBE

KNN, RIDGE = "knn", "ridge"
# The neighbours that vote, and the temperature of their votes: the defaults of
# task `retrieve`.
_NEIGHBOURS, _TEMPERATURE = 20, 0.07

# Values of `probe.every` with which there is a probe.
_ON = ("every", range(1, 2**31))


@dataclasses.dataclass(frozen=True)
class Probe(Options, section="probe"):
  """Options of the online probe."""

  every: int = option(
    0,
    "Steps from one measurement of the online probe to the next; there is also "
    "one before the first step and one after the last. 0: no probe.",
    at_least=0,
    before=0,
  )
  videos: int = option(
    200,
    "Labelled videos that the probe draws from each of its two splits, at "
    "most.",
    at_least=2,
    when=_ON,
  )
  split: str = option(
    "",
    "Split of the videos that the probe's classifiers learn from; empty: "
    "data.split.",
    when=_ON,
  )
  test_split: str = option(
    "test",
    "Split of the videos that the probe classifies. Videos that are in both "
    "splits are only classified.",
    required="name a split of the dataset",
    when=_ON,
  )
  labels: tuple[str, ...] = option(
    (), "Labels and tags that the probe measures; empty: all.", when=_ON
  )

  def draw(self, index: Index, learned: str, seed: int) -> "Drawn":
    """Draws the videos of the probe.

    Args:
      index: The index of the dataset.
      learned: Name of the split that the network learns from.
      seed: Seed of the choice.

    Raises:
      ConfigError: If there are no such labels or splits, or no videos to learn
        from.
      DataError: If a split has no videos.
    """
    if not targets_of(index):
      raise ConfigError(
        f"config.probe.every={self.every}: the dataset has no labels to probe "
        "by: set it to 0, or prepare the dataset with labels"
      )
    targets = choose_targets("config.probe.labels", self.labels, index)
    splits = {"split": self.split or learned, "test_split": self.test_split}
    for field, split in splits.items():
      if split not in index.splits:
        raise ConfigError(
          f"config.probe.{field}: the dataset has no split {split!r}, but "
          f"{', '.join(sorted(index.splits))}: name one of them, or set "
          "config.probe.every=0"
        )
    queries = self._choose(index.split(self.test_split), (seed, 1))
    rest = np.setdiff1d(index.split(splits["split"]), queries)
    if len(rest) < 2:
      raise ConfigError(
        f"config.probe.test_split={self.test_split} leaves fewer than two "
        f"videos of {splits['split']!r} to learn from: lower "
        "config.probe.videos, or name another split"
      )
    return Drawn(targets, self._choose(rest, (seed, 0)), queries)

  def _choose(self, videos: np.ndarray, seed: tuple[int, int]) -> np.ndarray:
    """Chooses at most `videos` of record numbers, which stay increasing."""
    order = np.random.default_rng(seed).permutation(videos)
    return np.sort(order[: self.videos])

  def check_monitor(self, monitor: str, index: Index | None = None) -> None:
    """Checks that the probe measures what chooses the best checkpoint.

    Args:
      monitor: Value of `train.keep_best`.
      index: The index of the dataset; None if it is not known, so that any name
        of a label passes.

    Raises:
      ConfigError: If the probe does not measure it; the message has a
        measurement of a similar name.
    """
    if not self.every:
      raise ConfigError(
        f"config.train.keep_best={monitor} needs the online probe: set "
        "config.probe.every, or leave it out"
      )
    labels = [*(self.labels or (targets_of(index) if index else ()))]
    start, _, rest = monitor.partition("/")
    if not labels:
      labels = [rest.rsplit("/", 2)[0] if start == PROBE else "LABEL"]
    choose("config.train.keep_best", monitor, names_of(labels))


@dataclasses.dataclass(frozen=True)
class Drawn:
  """The videos of the probe, and by what they are classified.

  Attributes:
    targets: The labels and tags.
    gallery: Record numbers of the videos to learn from, int64 [G], increasing.
    queries: Those of the videos to classify, int64 [Q]; none is in the gallery.
  """

  targets: Sequence[Target]
  gallery: np.ndarray
  queries: np.ndarray


def names_of(labels: Sequence[str]) -> list[str]:
  """The names of the measurements by which checkpoints can be compared.

  Args:
    labels: Names of the labels and tags.
  """
  return [
    f"{PROBE}/{label}/{endpoint}/{classifier}"
    for label in labels
    for endpoint in ENDPOINTS
    for classifier in (KNN, RIDGE)
  ]


# Segments and tags of videos by one target, in the order of the videos, without
# those that cannot be read.
_Truth = tuple[list[Segment], list[list[int]]]


class OnlineProbe:
  """Measures a network in training on videos that are always the same."""

  def __init__(
    self, drawn: Drawn, evaluation: Evaluation, backbone: BackboneOptions
  ) -> None:
    """Reads the labels of the videos.

    Args:
      drawn: The videos, and by what they are classified.
      evaluation: The dataset, and which clips of its videos are encoded.
      backbone: Options of the backbone.

    Raises:
      DataError: If a video has no such label.
    """
    self._drawn, self._evaluation = drawn, evaluation
    network = backbone.make()

    def compute(variables: Any, clips: jax.Array) -> dict[str, jax.Array]:
      outputs: Any = network.apply(variables, clips)
      return {
        name: features.pool(outputs[name], "average") for name in ENDPOINTS
      }

    self._encoder = features.make_encoder(
      compute, evaluation.view, evaluation.mesh
    )
    splits = drawn.gallery, drawn.queries
    truth = [_read(evaluation.source, v, drawn.targets) for v in splits]
    # Labels with the same segments share their features.
    groups: dict[tuple, list[tuple[Target, list[_Truth]]]] = {}
    for i, target in enumerate(drawn.targets):
      of_target = [split[i] for split in truth]
      places = tuple(s[:3] for segments, _ in of_target for s in segments)
      groups.setdefault(places, []).append((target, of_target))
    self._groups = list(groups.values())

  def measure(self, variables: Any) -> dict[str, float]:
    """Measures a network; all processes call it together.

    Args:
      variables: The backbone's variables, replicated over devices.

    Returns:
      By `names_of`, how good kNN and ridge classifiers are at each endpoint, in
      percent: accuracy by a label, mean average precision by a tag. And for
      each label `PROBE/LABEL/chance`, what is expected by chance.

    Raises:
      DataError: If too many videos cannot be decoded, or features are not
        finite.
    """
    measured = {}
    for group in self._groups:
      label = group[0][0].name
      encoded = [
        self._evaluation.encode(
          self._encoder, variables, videos, label=label, shown=False
        )
        for videos in (self._drawn.gallery, self._drawn.queries)
      ]
      for target, truth in group:
        gallery, queries = map(_with_truth, encoded, truth)
        measured |= self._classify(target, gallery, queries)
    # Processes that differ in the last digit must not decide differently.
    return processes.exchange(measured)[0]

  def _classify(
    self, target: Target, gallery: Outputs, queries: Outputs
  ) -> dict[str, float]:
    """Measures the classifiers of one label or tag, at every endpoint."""
    kind, classes = kind_of(target), len(target.classes)
    shown = gallery.shown(classes)
    owners = retrieval.owners(queries, gallery, "")
    start = f"{PROBE}/{target.name}"
    measured = {f"{start}/chance": kind.chance(queries, gallery, classes)}
    for endpoint in ENDPOINTS:
      vectors = queries.values[endpoint], gallery.values[endpoint]
      neighbours = search.nearest(
        *vectors, *owners, _NEIGHBOURS, self._evaluation.mesh
      )
      for classifier, scores in {
        KNN: search.knn_scores(neighbours, shown, _TEMPERATURE, _NEIGHBOURS),
        RIDGE: ridge.scores(vectors[1], shown, vectors[0]),
      }.items():
        measures = kind.predict(target, queries, scores).measures()
        name = f"{start}/{endpoint}/{classifier}"
        measured[name] = measures[kind.measures[0]]
    return measured


def _with_truth(outputs: Outputs, truth: _Truth) -> Outputs:
  """Outputs with the segments and tags of a target.

  Args:
    outputs: Outputs of segments of the same places by another target.
    truth: The segments and tags of the videos by the target, also of those that
      have no outputs, as they cannot be decoded.
  """
  places = {segment[:3] for segment in outputs.segments}
  kept = [
    (segment, tags)
    for segment, tags in zip(*truth, strict=True)
    if segment[:3] in places
  ]
  segments, tags = map(list, zip(*kept, strict=True))
  return dataclasses.replace(outputs, segments=segments, tags=tags)


def _read(
  source: sources.Source, videos: np.ndarray, targets: Sequence[Target]
) -> list[_Truth]:
  """Reads the segments and tags of videos by each target.

  Args:
    source: The videos.
    videos: Record numbers, int64 [N].
    targets: The labels and tags.

  Raises:
    DataError: If a video has no such label.
  """
  truth: list[_Truth] = [([], []) for _ in targets]
  for number in videos.tolist():
    try:
      video = source[number]
    except DataError:
      continue  # It is left out, and counted, when it is encoded.
    for target, (segments, tags) in zip(targets, truth, strict=True):
      found = segments_of(number, video, target.name)
      segments += found
      tags += [list(video.tags.get(target.name, ()))] * len(found)
  return truth
