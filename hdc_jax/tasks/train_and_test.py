"""The options that tasks with a train and a test split share."""

import dataclasses
import logging

from hdc_jax.data.clips import canvas, training_clips
from hdc_jax.data.labels.splits import both_uses, split_names
from hdc_jax.data.labels.targets import check_subset, chosen_targets
from hdc_jax.data.options import Folds, Subset, Tested
from hdc_jax.data.store.index import Index
from hdc_jax.methods import augmentations
from hdc_jax.tasks.base import EvaluationOptions, Seed

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainAndTest(EvaluationOptions):
  """Options of tasks that train on or search one split, and test another.

  Attributes:
    folds: Splits to train on or to search, and labels to evaluate.
    tested: Split to test on.
  """

  folds: Folds
  tested: Tested

  def check_dataset(self, index: Index) -> None:
    """Checks that a dataset has such clips, labels and splits."""
    super().check_dataset(index)
    chosen_targets(self.folds, index)
    split_names(self.folds, self.tested.split, index)


@dataclasses.dataclass(frozen=True)
class Supervised(TrainAndTest):
  """Options of tasks that train a classifier on one split, and test another.

  Attributes:
    seed: Seed of everything random.
    subset: Size and number of random subsets of the training videos.
    augment: The augmentations.
  """

  seed: Seed
  subset: Subset
  augment: augmentations.Classification

  def check_dataset(self, index: Index) -> None:
    """Checks that a dataset has such clips, labels, splits and subsets."""
    super().check_dataset(index)
    training_clips.check_clips(self.clips, self.model.size, index.short_side)
    check_subset(self.subset, chosen_targets(self.folds, index))

  def describe_clips(self, index: Index) -> str:
    """Says what part of the frames of a dataset clips show, for the log.

    Args:
      index: The index of the dataset.
    """
    view = augmentations.classification_view(self.augment, self.model.size)
    return canvas.describe(self.clips, index.short_side, [view.areas])

  def warn(self, index: Index | None = None) -> dict[str, list[str]]:
    """Logs a warning of each test on videos that were trained on.

    Args:
      index: The index of the dataset; None if it is not known, so that only the
        names of the splits are compared.

    Returns:
      The entry `warnings` of result.json; nothing if there are none.
    """
    train, test = self.folds.split, self.tested.split
    common = {f"{train} and {test}": "all"} if train == test else {}
    if index:
      common = both_uses(split_names(self.folds, test, index), index)
    warnings = [
      f"the splits {splits} have {count} videos in common, which are trained "
      "on and tested on: the result does not hold for other videos; choose "
      "another config.test.split"
      for splits, count in common.items()
    ]
    for warning in warnings:
      _log.warning(warning)
    return {"warnings": warnings} if warnings else {}
