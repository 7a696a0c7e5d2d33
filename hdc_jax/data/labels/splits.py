"""The splits and labels of a dataset that an evaluation uses."""

import itertools

from hdc_jax.data.options import Folds
from hdc_jax.data.store.index import Index
from hdc_jax.errors import DataError, choose


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


def chosen_labels(folds: Folds, index: Index) -> tuple[str, ...]:
  """The names of the labels to evaluate by, by default all of the dataset.

  Args:
    folds: The options, whose `labels` are checked.
    index: The index of the dataset.

  Raises:
    ConfigError: If there is no such label; the message lists the labels of the
      dataset.
    DataError: If the dataset has no labels.
  """
  names = index.labels
  if not names:
    raise DataError(
      "config.data.path: its videos have no labels to evaluate by; prepare "
      "them from sub-folders, one for each class"
    )
  for label in folds.labels:
    choose("config.data.labels", label, names)
  return folds.labels or tuple(names)
