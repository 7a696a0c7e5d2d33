"""Which splits and labels of a dataset to evaluate on."""

import itertools

import ml_collections

from hdc_jax.data import sources
from hdc_jax.errors import DataError, choose


def split_names(
  config: ml_collections.ConfigDict, source: sources.Source
) -> dict[str, tuple[str, str]]:
  """The divisions of a dataset into train and test to evaluate on.

  Args:
    config: `data.split`, `test.split` and `data.folds` are used.
    source: Of the videos.

  Returns:
    By a suffix such as '1', or '' where there is but one division, the names of
    the splits to train on (or to search) and to test on.

  Raises:
    ConfigError: If there are no such splits; the message lists those there are.
  """
  train, test = config.data.split, config.test.split
  splits = source.index.splits
  if train in splits and test in splits:
    return {"": (train, test)}
  folds = config.data.folds or [
    number
    for number in itertools.takewhile(
      lambda n: f"{train}{n}" in splits, itertools.count(1)
    )
  ]
  for number in folds:
    for split in (train, test):
      source.index.split(f"{split}{number}")
  if not folds:
    for split in (train, test):
      source.index.split(split)
  return {str(n): (f"{train}{n}", f"{test}{n}") for n in folds}


def chosen_labels(
  config: ml_collections.ConfigDict, source: sources.Source
) -> tuple[str, ...]:
  """Those of `config.data.labels`, or all that the dataset has.

  Raises:
    ConfigError: If there is no such label; the message lists those there are.
    DataError: If the dataset has none at all.
  """
  names = source.index.labels
  if not names:
    raise DataError(
      f"{config.data.path}: its videos have no labels to evaluate by; prepare "
      "them from sub-folders, one for each class"
    )
  for label in config.data.labels:
    choose("config.data.labels", label, names)
  return tuple(config.data.labels) or tuple(names)
