"""A global batch never holds a video twice."""

import itertools

import grain
import numpy as np
import pytest

from hdc_jax.data.clips import loader, order, sampling, training_clips
from hdc_jax.data.options import Clips, Loading
from hdc_jax.errors import ConfigError, DataError
from tests.data.clips import generated

# Videos, and videos per batch: equal, with and without a rest, and one alone.
SIZES = [(8, 8), (10, 8), (13, 4), (24, 8), (29, 2), (40, 4), (1, 1)]


def cut_of(source):
  return training_clips.make_cut(
    source,
    Clips(frames=2, canvas=4),
    records=np.arange(len(source)),
    starts=sampling.IndependentStarts(1),
  )


def read(source, steps, batch_size, processes=1, **options):
  """Ids of the first global batches, and which elements were replaced."""
  parts = [
    itertools.islice(
      loader.training_batches(
        cut_of(source),
        Loading(threads=1),
        batch_size=batch_size,
        process_index=index,
        process_count=processes,
        **{"seed": 0} | options,
      ),
      steps,
    )
    for index in range(processes)
  ]
  joined = [
    {name: np.concatenate([p[name] for p in step]) for name in ("id", "bad")}
    for step in zip(*parts, strict=True)
  ]
  ids = np.stack([batch["id"] for batch in joined]).astype(int)
  return ids, np.stack([batch["bad"] for batch in joined])


@pytest.mark.parametrize(("videos", "batch_size"), SIZES)
@pytest.mark.parametrize("seed", [0, 7])
def test_no_batch_repeats_a_video(videos, batch_size, seed):
  """Over three epochs, each of which covers all but the rest of the videos."""
  per_epoch = videos // batch_size
  ids, _ = read(
    generated.many(videos), 3 * per_epoch, batch_size=batch_size, seed=seed
  )
  for batch in ids:
    assert len(set(batch)) == batch_size
  epochs = ids.reshape(3, -1)
  for epoch in epochs:
    assert len(set(epoch)) == len(epoch) == videos - videos % batch_size
  if 1 < videos <= 13 and videos % batch_size:
    # What an epoch leaves out, another shows.
    assert set(epochs.flat) == set(range(videos))


@pytest.mark.parametrize(("videos", "batch_size"), [(24, 8), (29, 4)])
@pytest.mark.parametrize("bad", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_replacement_is_in_the_batch_already(videos, batch_size, bad, seed):
  victims = np.random.default_rng(seed).choice(videos, bad, replace=False)
  source = generated.many(videos, victims.tolist())
  want, _ = read(generated.many(videos), 12, batch_size, seed=seed)
  for processes in (1, 2, 4):
    ids, replaced = read(source, 12, batch_size, processes, seed=seed)
    assert replaced.any()
    for batch in ids:
      assert len(set(batch)) == batch_size
    assert not np.isin(ids, victims).any()
    # Only those are replaced that must be.
    np.testing.assert_array_equal(replaced > 0, np.isin(want, victims))
    np.testing.assert_array_equal(ids[replaced == 0], want[replaced == 0])
    if processes == 1:
      alone = ids
    np.testing.assert_array_equal(ids, alone)


def test_neighbours_in_a_batch_have_different_replacements():
  """All eight videos of the first batch are broken at once."""
  want, _ = read(generated.many(40), 1, 8)
  ids, replaced = read(generated.many(40, want[0].tolist()), 1, 8)
  assert (replaced == 1).all()
  assert len(set(ids[0])) == 8
  assert not set(ids[0]) & set(want[0])


def test_a_batch_without_a_video_to_spare():
  """Of eight videos in batches of eight, none can take another's place."""
  with pytest.raises(DataError, match=r"^1 videos in a row .*data.batch_size"):
    read(generated.many(8, [3]), 1, 8)


@pytest.mark.parametrize("processes", [2, 4])
def test_a_run_goes_on_with_the_same_batches(processes):
  source = generated.many(13, [5])
  want, _ = read(source, 9, 4)
  got, _ = read(source, 5, 4, processes, first_step=4)
  np.testing.assert_array_equal(got, want[4:])


def test_whole_epochs_are_those_of_version_0_1_0():
  """Where batches divide the videos, order and clips are as they were."""
  source = generated.many(24)
  cut = cut_of(source)
  before = (
    order.record_numbers(cut.records)
    .seed(3)
    .shuffle()
    .repeat()
    .map(lambda number: [number])
  )
  ids, _ = read(source, 6, 8, seed=3)
  want = [int(before[i][0]) for i in range(48)]
  assert ids.ravel().tolist() == want
  # The generator of clip `i` is that of the fourth node of the old pipeline.
  old = order.record_numbers(cut.records).seed(3).shuffle().repeat()
  drawn = old.random_map(_Draw())
  new = (
    grain.MapDataset.range(24).seed(3).repeat().map_with_index(lambda i, _: i)
  ).random_map(_Draw())
  assert [drawn[i] for i in range(30)] == [new[i] for i in range(30)]


class _Draw(grain.transforms.RandomMap):
  def random_map(self, element, rng):
    return int(rng.integers(1 << 30))


@pytest.mark.parametrize(("videos", "noun"), [(1, "1 video"), (7, "7 videos")])
def test_a_batch_that_is_too_large(videos, noun):
  with pytest.raises(
    ConfigError,
    match=rf"^config.data.batch_size=8 .* {noun} of .*: use at most {videos}$",
  ):
    next(
      loader.training_batches(
        cut_of(generated.many(videos)), Loading(), batch_size=8, seed=0
      )
    )
