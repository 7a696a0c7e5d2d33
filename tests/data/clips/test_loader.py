"""Batches depend on seed and step, not on who reads them or how."""

import itertools

import numpy as np
import pytest

from hdc_jax.data import sources
from hdc_jax.data.clips import (
  filling,
  loader,
  order,
  sampling,
  training_clips,
)
from hdc_jax.data.options import Clips, Loading
from hdc_jax.errors import ConfigError, DataError
from tests.data.clips.test_training_clips import Broken

STEPS = 8  # of 8 videos: past the end of the 24 in the split


def batches_of(source, canvas=40, starts=None, **options):
  """The endless batches of a process."""
  cut = training_clips.make_cut(
    source,
    Clips(frames=8, canvas=canvas),
    records=source.index.split("train"),
    starts=starts or sampling.IndependentStarts(2),
  )
  defaults = {"loading": Loading(threads=2), "batch_size": 8, "seed": 0}
  return loader.training_batches(cut, **defaults | options)


def read(source, steps=STEPS, **options):
  """The first batches of a process."""
  return list(itertools.islice(batches_of(source, **options), steps))


def assert_same(got, want):
  for one, other in zip(got, want, strict=True):
    assert one.keys() == other.keys()
    for name in one:
      np.testing.assert_array_equal(one[name], other[name])


@pytest.fixture(scope="module")
def source(prepared):
  return sources.open(prepared)


@pytest.fixture(scope="module")
def batches(source):
  return read(source)


def test_shapes_and_dtypes(batches):
  for batch in batches:
    assert batch["y"].shape == (8, 2, 8, 40, 40)
    assert batch["uv"].shape == (8, 2, 8, 20, 20, 2)
    assert batch["y"].dtype == batch["uv"].dtype == np.uint8
    assert batch["id"].shape == (8,)
    assert not batch["bad"].any()


def test_epochs_are_reshuffled_and_whole(source, batches):
  numbers = source.index.split("train")
  want = sorted(source[int(n)].id for n in numbers)
  ids = np.concatenate([batch["id"] for batch in batches])
  first, second = ids[: len(want)], ids[len(want) : 2 * len(want)]
  assert sorted(first) == sorted(second) == want
  assert first.tolist() != second.tolist()


def test_clips_of_a_video_differ(batches):
  y = batches[0]["y"]
  assert not np.array_equal(y[:, 0], y[:, 1])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_workers_do_not_change_batches(source, batches, workers):
  loading = Loading(threads=2, workers=workers)
  assert_same(read(source, steps=4, loading=loading), batches[:4])


@pytest.mark.parametrize("threads", [1, 7])
def test_threads_do_not_change_batches(source, batches, threads):
  assert_same(read(source, loading=Loading(threads=threads)), batches)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_the_same_global_batches(source, batches, processes):
  parts = [
    read(source, process_index=index, process_count=processes)
    for index in range(processes)
  ]
  joined = [
    {name: np.concatenate([p[name] for p in step]) for name in step[0]}
    for step in zip(*parts, strict=True)
  ]
  assert_same(joined, batches)


@pytest.mark.parametrize(
  "starts", [sampling.IntervalStarts(2.0), sampling.ShiftedStarts()]
)
def test_processes_share_whole_frames_too(source, starts):
  """Of CVRL's and DSM's clips, on a canvas larger than the frames."""
  shown = {"steps": 2, "canvas": 60, "starts": starts}
  whole = read(source, **shown)
  halves = [
    read(source, **shown, process_index=i, process_count=2) for i in range(2)
  ]
  joined = [
    {name: np.concatenate([p[name] for p in step]) for name in step[0]}
    for step in zip(*halves, strict=True)
  ]
  assert_same(joined, whole)
  for batch in whole:
    assert batch["y"].shape == (8, 2, 8, 60, 60)
    assert (batch["extent"][..., 0] == 40).all()
    for y, uv, extent in zip(
      batch["y"][:, 0], batch["uv"][:, 0], batch["extent"][:, 0], strict=True
    ):
      rows, columns = extent
      assert not y[:, rows:].any()
      assert not y[:, :, columns:].any()
      assert not uv[:, :, columns // 2 :].any()
      # Limited range: a picture has no zeros.
      assert y[:, :rows, :columns].min() > 0


def test_resuming_continues_the_sequence(source, batches):
  assert_same(read(source, steps=STEPS - 5, first_step=5), batches[5:])


def test_seed_changes_the_order(source, batches):
  other = read(source, seed=1)
  assert other[0]["id"].tolist() != batches[0]["id"].tolist()


def test_bad_videos_are_replaced_alike_each_time(source, batches, caplog):
  victim = int(source.index.split("train")[5])
  broken = Broken(source, {victim})
  got = read(broken)
  assert_same(read(broken, loading=Loading(threads=1)), got)
  assert sum(int(batch["bad"].sum()) for batch in got) >= 2
  name = source[victim].id
  for one, other in zip(got, batches, strict=True):
    for i, before in enumerate(other["id"]):
      if before == name:
        assert one["bad"][i] >= 1
        assert one["id"][i] != name
      else:
        assert one["id"][i] == before
        np.testing.assert_array_equal(one["y"][i], other["y"][i])
  assert f"video {victim}: not to be read" in caplog.text


def test_a_bad_video_is_named_once(source, caplog):
  victim = int(source.index.split("train")[5])
  got = read(Broken(source, {victim}))
  assert sum(int(batch["bad"].sum()) for batch in got) >= 2
  assert caplog.text.count(f"video {victim}: not to be read") == 1


def test_too_many_bad_videos_stop_the_run(source):
  bad = set(source.index.split("train")[::2].tolist())
  feed = loader.Feed(
    batches_of(Broken(source, bad), batch_size=2), max_bad=0.01
  )
  with pytest.raises(DataError, match=r"more than config.data.max_bad=0.01"):
    for _ in range(STEPS):
      next(feed)


def test_a_split_that_is_not_there(source):
  with pytest.raises(ConfigError, match="it has test, train"):
    source.index.split("validation")


@pytest.mark.parametrize("workers", [0, 2])
def test_parts_do_not_change_batches(source, batches, workers, monkeypatch):
  """With so little to read ahead that each part is one video."""
  monkeypatch.setattr(filling, "_READ_AHEAD_BYTES", 1)
  loading = Loading(threads=2, workers=workers)
  assert_same(read(source, steps=2, loading=loading), batches[:2])


def test_batches_are_those_of_one_video_after_the_other(source):
  """With padding and labels, and one video that is replaced."""
  victim = int(source.index.split("train")[5])
  options = {"batch_size": 8, "seed": 0, "first_step": 1}
  cut = training_clips.make_cut(
    Broken(source, {victim}),
    Clips(frames=8, canvas=60),
    records=source.index.split("train"),
    starts=sampling.IndependentStarts(2),
    label="scene",
  )
  got = loader.training_batches(cut, Loading(threads=7), **options)
  videos = order.training_videos(
    cut, process_index=0, process_count=1, **options
  )
  want = []
  for first in range(0, 24, 8):
    clips = [videos[i] for i in range(first, first + 8)]
    want.append({k: np.stack([c[k] for c in clips]) for k in clips[0]})
  assert any(batch["bad"].any() for batch in want)
  assert want[0].keys() == {"y", "uv", "extent", "label", "id", "bad"}
  assert_same(itertools.islice(got, 3), want)
  got.close()
