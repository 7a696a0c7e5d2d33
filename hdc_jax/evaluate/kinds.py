"""What differs between evaluations by a label and by a tag.

A video has one class of a label, and any number of classes of a tag. All code
that learns, tests and searches takes the differences from a `Kind`.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from hdc_jax.data.labels import subsets
from hdc_jax.data.labels.targets import Target
from hdc_jax.evaluate import retrieval
from hdc_jax.evaluate.evaluation import Outputs
from hdc_jax.models.classification import (
  ANY_CLASSES,
  ONE_CLASS,
  Classification,
)
from hdc_jax.runs.predictions import (
  ClassScores,
  Predictions,
  TagPredictions,
  mean_precision,
)


@dataclasses.dataclass(frozen=True)
class Kind:
  """A kind of targets: labels, or tags.

  True classes of N videos are int64 [N] for a label, and bool [N, C] for a tag.

  Attributes:
    classification: The loss and the scores.
    truth: Function of outputs and the number of classes C to the true classes
      of the segments.
    hold_out: Function of true classes, a fraction and a generator to the
      positions of the remaining and the held-out videos.
    measure: Function of true classes and scores [N, C] to the percentage by
      which learning rates are compared.
    predictions: Class of the predictions of a test.
    measures: Names of the results of a test; the first one is the headline.
    votes: Name of the result of the neighbours' votes.
    chance: Function of queries, a gallery and the number of classes to the
      percentage that the headline result has by chance: for a label, that of
      classes drawn from the gallery; for a tag, that of equal scores.
  """

  classification: Classification
  truth: Callable[[Outputs, int], np.ndarray]
  hold_out: Callable[
    [np.ndarray, float, np.random.Generator], tuple[np.ndarray, np.ndarray]
  ]
  measure: Callable[[np.ndarray, np.ndarray], float]
  predictions: type[ClassScores]
  measures: tuple[str, ...]
  votes: str
  chance: Callable[[Outputs, Outputs, int], float]

  def predict(
    self, target: Target, outputs: Outputs, scores: np.ndarray
  ) -> ClassScores:
    """The predictions of a test.

    Args:
      target: The label or tag.
      outputs: Outputs of the network for P segments.
      scores: Score of each class for each segment, float32 [P, C].
    """
    ids, names = np.array(outputs.ids), np.array(target.classes)
    truth = self.truth(outputs, len(names))
    return self.predictions(ids, truth, scores, names, target.name)


def _accuracy(labels: np.ndarray, scores: np.ndarray) -> float:
  """The percentage of videos whose highest score is that of their class."""
  return 100.0 * np.sum(scores.argmax(axis=1) == labels) / len(labels)


def _drawn(queries: Outputs, gallery: Outputs, classes: int) -> float:
  """The percentage of queries that have the class of a random segment."""
  return retrieval.chance_rates(queries, gallery, (1,), classes)["top1"]


def _equal(queries: Outputs, gallery: Outputs, classes: int) -> float:
  """The mean average precision of equal scores, in percent."""
  del gallery
  shown = queries.shown(classes)
  return 100.0 * mean_precision(shown, np.zeros(shown.shape))


LABEL = Kind(
  ONE_CLASS,
  lambda outputs, _: outputs.labels,
  subsets.held_out,
  _accuracy,
  Predictions,
  ("top1", "top5"),
  "knn",
  _drawn,
)
TAG = Kind(
  ANY_CLASSES,
  lambda outputs, classes: outputs.shown(classes),
  subsets.any_held_out,
  lambda shown, scores: 100.0 * mean_precision(shown, scores),
  TagPredictions,
  ("map",),
  "knn_map",
  _equal,
)


def kind_of(target: Target) -> Kind:
  """The kind of a target."""
  return TAG if target.is_tag else LABEL
