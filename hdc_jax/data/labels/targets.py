"""What an evaluation classifies videos by: a label, or a tag.

A video has one class of a label at any time, and any number of classes of a
tag.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.options import Folds, Subset
from hdc_jax.data.store.index import Index
from hdc_jax.errors import ConfigError, DataError, choose


@dataclasses.dataclass(frozen=True)
class Target:
  """A label or a tag of a dataset.

  Attributes:
    name: Name of the label or tag.
    classes: Names of its classes, by number.
    is_tag: Whether a video shows any number of the classes.
  """

  name: str
  classes: Sequence[str]
  is_tag: bool = False


def targets_of(index: Index) -> dict[str, Target]:
  """The labels and then the tags of a dataset, by name."""
  tags = {name: Target(name, index.tags[name], True) for name in index.tags}
  labels = {name: Target(name, index.labels[name]) for name in index.labels}
  return labels | {name: tags[name] for name in tags if name not in labels}


def chosen_targets(folds: Folds, index: Index) -> list[Target]:
  """The labels and tags to evaluate by, by default all of the dataset.

  Args:
    folds: The options, whose `labels` are checked.
    index: The index of the dataset.

  Raises:
    ConfigError: If there is no such label or tag; the message lists those of
      the dataset.
    DataError: If the dataset has none.
  """
  return choose_targets("config.data.labels", folds.labels, index)


def choose_targets(
  field: str, labels: Sequence[str], index: Index
) -> list[Target]:
  """The labels and tags that a field names, by default all of the dataset.

  Args:
    field: Full name of the field, for messages.
    labels: The value of the field.
    index: The index of the dataset.

  Raises:
    ConfigError: If there is no such label or tag; the message lists those of
      the dataset.
    DataError: If the dataset has none.
  """
  targets = targets_of(index)
  if not targets:
    raise DataError(
      "config.data.path: its videos have no labels to evaluate by; prepare "
      "them from sub-folders, one for each class"
    )
  for label in labels:
    choose(field, label, targets)
  return [targets[name] for name in labels or targets]


def check_subset(subset: Subset, targets: Sequence[Target]) -> None:
  """Checks that random subsets of the training videos can be drawn.

  Args:
    subset: Size of the subsets.
    targets: The labels and tags to evaluate by.

  Raises:
    ConfigError: If there are subsets for a tag, by which they cannot be
      balanced.
  """
  tags = [target.name for target in targets if target.is_tag]
  if tags and not subset.whole:
    raise ConfigError(
      f"config.subset: a video has any number of classes of {tags[0]!r}, and "
      "subsets are balanced by a label with one class for each video: leave "
      "config.subset out, or choose other config.data.labels"
    )


def true_classes(
  index: Index, video: sources.Video, name: str, frame: int
) -> np.ndarray:
  """The true classes of a video at a frame, as a training takes them.

  Args:
    index: The index of the dataset.
    video: The video.
    name: Name of a label or a tag.
    frame: Index of the frame, at which a label is read.

  Returns:
    int32: the class of a label, []; or, for each of the C classes of a tag, 1
    if the video shows it, [C].

  Raises:
    DataError: If the video has no such label or tag.
  """
  if name in index.labels or name not in index.tags:
    return np.array(video.label(name, frame), np.int32)
  if name not in video.tags:
    raise DataError(f"{video.id}: has no tag {name!r}")
  shown = np.zeros(len(index.tags[name]), np.int32)
  shown[list(video.tags[name])] = 1
  return shown
