"""Every batch of a mixture has its shares of the datasets."""

import itertools

import numpy as np
import pytest

from hdc_jax.data import mixtures, sources
from hdc_jax.data.clips import loader, order
from hdc_jax.data.options import Loading
from hdc_jax.data.store.index import Index
from hdc_jax.errors import ConfigError
from tests.data.clips import generated
from tests.data.clips.test_batches import cut_of, read

# Videos of each dataset; the ids of the second begin at 100.
COUNTS = (20, 7)
PARTS = mixtures.parse("a:0.7,b:0.3")
SIZE, SHARES = 8, (6, 2)


def index_of(name, videos):
  splits = {"train": [(0, videos)]}
  return Index(name, "", "h264", 4, videos, None, {}, splits, (), ())


@pytest.fixture
def mixed():
  return mixture()


def mixture(bad=(), counts=COUNTS):
  datasets = [
    generated.Source(
      [generated.Video(str(100 * number + i)) for i in range(count)],
      bad=[b - 100 * number for b in bad if b // 100 == number],
    )
    for number, count in enumerate(counts)
  ]
  indices = [index_of(*one) for one in zip("ab", counts, strict=True)]
  return sources.Mixture(datasets, mixtures.join(PARTS, indices))


def test_every_batch_has_the_shares_and_no_video_twice(mixed):
  ids, _ = read(mixed, 40, SIZE)
  for batch in ids:
    assert np.bincount(batch // 100).tolist() == list(SHARES)
    assert len(set(batch)) == SIZE


def test_each_dataset_has_the_order_and_epochs_that_it_has_alone(mixed):
  ids, _ = read(mixed, 40, SIZE, seed=3)
  first, _ = read(generated.many(COUNTS[0]), 40, SHARES[0], seed=3)
  np.testing.assert_array_equal(ids[:, : SHARES[0]], first)
  second, _ = read(generated.many(COUNTS[1]), 40, SHARES[1], seed=4)
  np.testing.assert_array_equal(ids[:, SHARES[0] :] - 100, second)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_and_restarts_do_not_change_the_batches(processes):
  want, replaced = read(mixture(bad=[3, 104]), 9, SIZE)
  assert replaced.any()
  got, _ = read(mixture(bad=[3, 104]), 5, SIZE, processes, first_step=4)
  np.testing.assert_array_equal(got, want[4:])


def test_a_bad_video_is_replaced_by_one_of_its_dataset():
  ids, replaced = read(mixture(bad=[3, 104]), 40, SIZE)
  for batch in ids:
    assert np.bincount(batch // 100).tolist() == list(SHARES)
    assert len(set(batch)) == SIZE
  assert replaced[:, : SHARES[0]].any()
  assert replaced[:, SHARES[0] :].any()
  assert not np.isin(ids, [3, 104]).any()


def test_a_dataset_smaller_than_its_share_is_named():
  index = mixture(counts=(20, 2)).index
  order.check_batches(8, index, "train")
  with pytest.raises(
    ConfigError,
    match=r"batch_size=12 is too large: 4 videos of each batch would be of b, "
    r"whose split 'train' has 2, ",
  ):
    order.check_batches(12, index, "train")


def test_batches_are_checked_without_a_split_too():
  with pytest.raises(
    ConfigError, match=r"4 videos .* would be of b, which has"
  ):
    read(mixture(counts=(20, 2)), 1, 12)


def test_one_dataset_is_checked_as_before():
  with pytest.raises(ConfigError, match="8 is too large for the 7 videos of "):
    order.check_batches(8, index_of("a", 7), "train")


def test_clips_are_drawn_by_position_alone(mixed):
  """The clips of a step are the same, whatever was read before."""

  def batch(first_step):
    batches = loader.training_batches(
      cut_of(mixed),
      Loading(threads=1),
      batch_size=SIZE,
      seed=0,
      first_step=first_step,
    )
    return list(itertools.islice(batches, 4 - first_step))[-1]

  for name, values in batch(0).items():
    np.testing.assert_array_equal(batch(3)[name], values)
