"""Splits by what they are called in a dataset."""

import pytest

from hdc_jax.data import sources
from hdc_jax.data.labels.splits import split_names
from hdc_jax.errors import ConfigError
from tests import small


@pytest.fixture(scope="module")
def source(prepared):
  return sources.open(prepared)


class Divided:
  """A source with splits."""

  def __init__(self, source, names):
    fields = vars(source.index) | {"splits": {name: [(0, 2)] for name in names}}
    self.index = type(source.index)(**fields)


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
  config = small.config(data__folds=folds)
  divided = Divided(source, splits.split())
  assert split_names(config, divided) == want


@pytest.mark.parametrize(
  ("splits", "folds", "message"),
  [
    ("train1 test1", (1, 2), "no split 'train2'.*it has test1, train1"),
    ("train val", (), "no split 'test'.*it has train, val"),
    ("train1 train2 test1", (), "no split 'test2'"),
  ],
)
def test_missing_splits(source, splits, folds, message):
  config = small.config(data__folds=folds)
  with pytest.raises(ConfigError, match=message):
    split_names(config, Divided(source, splits.split()))
