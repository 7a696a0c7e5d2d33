"""The splits of a dataset that an evaluation uses."""

import itertools
from collections.abc import Mapping

import numpy as np

from hdc_jax.data.options import Folds
from hdc_jax.data.store.index import Index


def split_names(
  folds: Folds, test: str, index: Index
) -> dict[str, tuple[str, str]]:
  """The names of the splits of each fold to evaluate on.

  Args:
    folds: The split to train on, and the numbers of the folds.
    test: The split to test on.
    index: The index of the dataset.

  Returns:
    The number of each fold, such as '1' ('' if the dataset has only one), with
    the names of the splits to train on, or to search, and to test on.

  Raises:
    ConfigError: If there are no such splits; the message lists the splits of
      the dataset.
  """
  train, splits = folds.split, index.splits
  if train in splits and test in splits:
    return {"": (train, test)}
  fold_numbers = folds.folds or tuple(
    itertools.takewhile(lambda n: f"{train}{n}" in splits, itertools.count(1))
  )
  for suffix in fold_numbers or ("",):
    for split in (train, test):
      index.split(f"{split}{suffix}")
  return {str(n): (f"{train}{n}", f"{test}{n}") for n in fold_numbers}


def both_uses(
  folds: Mapping[str, tuple[str, str]], index: Index
) -> dict[str, int]:
  """Counts the videos that are both trained on and tested on.

  Args:
    folds: The names of the splits of each fold, see `split_names`.
    index: The index of the dataset.

  Returns:
    For each pair of splits that have videos in common, 'train and test', the
    number of these videos.
  """
  counts = {}
  for train, test in folds.values():
    common = np.intersect1d(index.split(train), index.split(test))
    if len(common):
      counts[f"{train} and {test}"] = len(common)
  return counts
