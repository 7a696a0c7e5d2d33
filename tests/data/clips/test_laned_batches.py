"""Every lane of a batch has shards of its own, whoever reads it."""

import dataclasses
import itertools

import numpy as np
import pytest

from hdc_jax.data import lanes
from hdc_jax.data.clips import loader, order, training_clips
from hdc_jax.data.options import Loading
from hdc_jax.errors import ConfigError, DataError
from tests.data.clips import generated, laned
from tests.data.clips.test_batches import cut_of, read

# Videos of each of eight shards, and the numbers of lanes that are tried.
COUNTS = (9, 8, 9, 9, 8, 9, 8, 9)
SIZE = 8


def by_lane(ids, lanes):
  """The ids of each lane of each batch, [steps, lanes, videos]."""
  return ids.reshape(len(ids), lanes, -1)


def test_one_lane_is_the_full_shuffle():
  """Also of a dataset whose shards are not known, as of a folder."""
  want, _ = read(generated.many(sum(COUNTS)), 20, SIZE, seed=3)
  got, _ = read(laned.source_of(COUNTS), 20, SIZE, seed=3, lanes=1)
  np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("lanes", [2, 4, 8])
def test_a_lane_has_its_shards_and_no_video_is_in_a_batch_twice(lanes):
  ids, _ = read(laned.source_of(COUNTS), 40, SIZE, lanes=lanes)
  for batch in by_lane(ids, lanes):
    assert len(set(batch.flat)) == SIZE
    for lane, videos in enumerate(batch):
      shards = {laned.shard_of(COUNTS, number) for number in videos}
      assert {shard % lanes for shard in shards} == {lane}
  # All shards of a lane are in use.
  seen = {laned.shard_of(COUNTS, number) for number in ids.flat}
  assert seen == set(range(8))


@pytest.mark.parametrize("lanes", [2, 4])
def test_a_lane_has_epochs_of_its_own_that_are_whole(lanes):
  counts = (6,) * 8
  ids, _ = read(laned.source_of(counts), 3 * 48 // SIZE, SIZE, lanes=lanes)
  for lane in range(lanes):
    mine = by_lane(ids, lanes)[:, lane].reshape(3, -1)
    for epoch in mine:
      assert len(set(epoch)) == len(epoch) == 48 // lanes
    assert mine[0].tolist() != mine[1].tolist()
  firsts = [by_lane(ids, lanes)[:, lane].ravel() % 6 for lane in range(lanes)]
  assert not np.array_equal(firsts[0], firsts[1])  # Each has its own order.


@pytest.mark.parametrize("lanes", [1, 2, 4])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_and_restarts_do_not_change_the_batches(lanes, processes):
  if lanes % processes and lanes > 1:
    pytest.skip("no process has part of a lane")
  source = laned.source_of(COUNTS, bad=[3, 20])
  want, replaced = read(source, 20, SIZE, lanes=lanes)
  assert replaced.any()
  got, _ = read(source, 12, SIZE, processes, first_step=8, lanes=lanes)
  np.testing.assert_array_equal(got, want[8:])


class Watched:
  """A source that keeps the numbers of the videos that are asked for."""

  def __init__(self, source):
    self._source, self.index, self.opened = source, source.index, set()

  def __len__(self):
    return len(self._source)

  def __getitem__(self, i):
    self.opened.add(i)
    return self._source[i]


@pytest.mark.parametrize("processes", [2, 4])
def test_a_process_opens_its_shards_alone(processes):
  """With bad videos too, whose replacements are of the same lane."""
  for process in range(processes):
    source = Watched(laned.source_of(COUNTS, [0, 1, 2, 30, 31, 60]))
    batches = loader.training_batches(
      cut_of(source),
      Loading(threads=1),
      batch_size=SIZE,
      seed=0,
      process_index=process,
      process_count=processes,
      lanes=4,
    )
    list(itertools.islice(batches, 40))
    wanted = lanes.Share(4, process, processes).needs(8)
    assert {laned.shard_of(COUNTS, n) for n in source.opened} == set(
      np.flatnonzero(wanted)
    )


@pytest.mark.parametrize("lanes", [2, 4])
def test_a_bad_video_is_replaced_by_one_of_its_lane(lanes):
  bad = [0, 9, 17, 40]
  want, _ = read(laned.source_of(COUNTS), 40, SIZE, lanes=lanes)
  ids, replaced = read(laned.source_of(COUNTS, bad), 40, SIZE, lanes=lanes)
  np.testing.assert_array_equal(replaced > 0, np.isin(want, bad))
  np.testing.assert_array_equal(ids[replaced == 0], want[replaced == 0])
  assert replaced.any()
  for batch in by_lane(ids, lanes):
    assert len(set(batch.flat)) == SIZE
    for lane, videos in enumerate(batch):
      assert {laned.shard_of(COUNTS, n) % lanes for n in videos} == {lane}


def test_a_lane_without_a_video_to_spare_is_an_error():
  """Though other lanes have many."""
  source = laned.source_of((2, 90), bad=[0])
  with pytest.raises(DataError, match="videos in a row could not be decoded"):
    read(source, 1, 4, lanes=2)


def test_datasets_of_a_mixture_have_their_shares_in_each_lane():
  """And each draws from its own shards."""
  first, second = (10,) * 4, (7, 6, 6, 7, 6)
  ids, _ = read(laned.mixture_of(first, second), 30, SIZE, lanes=2)
  for batch in by_lane(ids, 2):
    assert len(set(batch.flat)) == SIZE
    for lane, videos in enumerate(batch):
      assert (videos >= 1000).tolist() == [False] * 3 + [True]
      assert {n // 10 % 2 for n in videos[:3]} == {lane}
      assert laned.shard_of(second, videos[3] - 1000) % 2 == lane


@pytest.mark.parametrize("processes", [1, 2])
def test_a_mixture_in_lanes_does_not_depend_on_processes(processes):
  source = laned.mixture_of((10,) * 4, (7, 6, 6, 7, 6), bad=[3, 1001])
  want, replaced = read(source, 30, SIZE, lanes=2)
  assert replaced.any()
  got, _ = read(source, 25, SIZE, processes, first_step=5, lanes=2)
  np.testing.assert_array_equal(got, want[5:])


def test_a_split_that_cuts_shards():
  """Lanes are of the shards of the dataset, not of the split."""
  index = laned.index_of((4, 4, 4, 4), videos=10)
  order.check_batches(8, index, "train", lanes=2)
  with pytest.raises(
    ConfigError,
    match=r"batch_size=8 is too large: 2 videos of each batch would be of lane "
    r"3 of the dataset, whose split 'train' has 0, .*or config.data.lanes$",
  ):
    order.check_batches(8, index, "train", lanes=4)


def test_more_lanes_than_shards():
  with pytest.raises(
    ConfigError, match=r"lanes=4: each lane .* has 2: .*--shards=4 or more$"
  ):
    order.check_batches(8, laned.index_of((50, 50)), "train", lanes=4)


def test_more_datasets_than_videos_of_a_lane():
  index = laned.mixture_of((10,) * 4, (10,) * 4).index
  with pytest.raises(
    ConfigError, match="a lane has 1 videos of each batch, too few for the 2 "
  ):
    order.check_batches(4, index, "train", lanes=4)


def test_how_often_two_videos_meet():
  """In a full shuffle and in lanes, against what combinatorics say.

  Of N videos in batches of B, two meet in an epoch with probability
  (B - 1) / (N - 1); with L lanes, those of one lane with (B/L - 1) / (N/L - 1),
  and those of two lanes with B/N.
  """
  videos, number, epochs = 32, 4, 50
  counts, per_lane = (4,) * 8, videos // number
  steps = epochs * videos // SIZE
  lane_of = np.arange(videos) // 4 % number
  same = lane_of[:, None] == lane_of[None, :]
  expected = {
    1: np.full((videos, videos), (SIZE - 1) / (videos - 1)),
    number: np.where(same, (SIZE / number - 1) / (per_lane - 1), SIZE / videos),
  }
  for count, want in expected.items():
    ids = order_of(laned.source_of(counts), steps, count)
    shown = np.zeros((len(ids), videos))
    np.put_along_axis(shown, ids, 1, axis=1)
    assert (shown.sum(0) == epochs).all()  # Each video once an epoch.
    together = shown.T @ shown / epochs
    off = ~np.eye(videos, dtype=bool)
    deviation = (together - want)[off] / np.sqrt(want * (1 - want) / epochs)[
      off
    ]
    assert np.abs(deviation).max() < 5  # standard deviations, of 992 pairs
    assert abs(np.std(deviation) - 1) < 0.15
    for pairs in (same & off, ~same):
      assert abs(together[pairs].mean() - want[pairs].mean()) < 0.02


class Numbers(training_clips.CutClips):
  """Cuts no clips: an element is the number of its video."""

  def random_map(self, element, rng):
    return next(element)


def order_of(source, steps, count):
  """The record numbers of the first batches, int [steps, SIZE]."""
  made = cut_of(source)
  videos = order.training_videos(
    Numbers(
      **{f.name: getattr(made, f.name) for f in dataclasses.fields(made)}
    ),
    batch_size=SIZE,
    seed=0,
    first_step=0,
    process_index=0,
    process_count=1,
    lanes=count,
  )
  flat = [int(videos[i]) for i in range(steps * SIZE)]
  return np.array(flat).reshape(steps, SIZE)
