"""Splits by what they are called in a dataset."""

import dataclasses

import pytest

from hdc_jax.data import sources
from hdc_jax.data.labels.splits import split_names
from hdc_jax.data.options import Folds
from hdc_jax.errors import ConfigError


@pytest.fixture(scope="module")
def source(prepared):
  return sources.open(prepared)


def divided(index, names):
  """An index with other splits."""
  splits = {name: [(0, 2)] for name in names.split()}
  return dataclasses.replace(index, splits=splits)


@pytest.mark.parametrize(
  ("splits", "folds", "want"),
  [
    ("train test", (), {"": ("train", "test")}),
    ("train test", (1, 2), {"": ("train", "test")}),
    (
      "train1 test1 train2 test2",
      (),
      {"1": ("train1", "test1"), "2": ("train2", "test2")},
    ),
    ("train1 test1 train2 test2", (2,), {"2": ("train2", "test2")}),
  ],
)
def test_split_names(source, splits, folds, want):
  index = divided(source.index, splits)
  assert split_names(Folds(folds=folds), "test", index) == want


@pytest.mark.parametrize(
  ("splits", "folds", "message"),
  [
    ("train1 test1", (1, 2), "no split 'train2'.*it has test1, train1"),
    ("train val", (), "no split 'test'.*it has train, val"),
    ("train1 train2 test1", (), "no split 'test2'"),
  ],
)
def test_missing_splits(source, splits, folds, message):
  index = divided(source.index, splits)
  with pytest.raises(ConfigError, match=message):
    split_names(Folds(folds=folds), "test", index)
