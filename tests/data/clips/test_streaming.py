"""Batches are the same whether shards are copied, streamed, or neither."""

import itertools
import shutil

import numpy as np
import pytest

from hdc_jax.data import lanes, sources
from hdc_jax.data.clips import loader, sampling, training_clips
from hdc_jax.data.options import Clips, Loading
from hdc_jax.data.store import chunks, ranged_shards
from hdc_jax.data.video import codec
from hdc_jax.errors import ConfigError, StorageError
from hdc_jax.runtime import ranges
from tests.bucket import Bucket
from tests.data.store import test_long_videos

DATA = "gs://b/data"
STEPS = 5  # of 8 videos: past the end of the 24 in the split


def read(source, steps=STEPS, starts=None, canvas=40, **options):
  """The first batches of a process."""
  cut = training_clips.make_cut(
    source,
    Clips(frames=8, canvas=canvas),
    records=source.index.split("train"),
    starts=starts or sampling.IndependentStarts(2),
  )
  defaults = {"loading": Loading(threads=2), "batch_size": 8, "seed": 0}
  batches = loader.training_batches(cut, **defaults | options)
  found = list(itertools.islice(batches, steps))
  batches.close()
  return found


def joined(parts):
  """The global batches of several processes."""
  return [
    {name: np.concatenate([p[name] for p in step]) for name in step[0]}
    for step in zip(*parts, strict=True)
  ]


def assert_same(got, want):
  for one, other in zip(got, want, strict=True):
    assert one.keys() == other.keys()
    for name in one:
      np.testing.assert_array_equal(one[name], other[name])


@pytest.fixture(scope="module")
def local(prepared):
  return sources.open(prepared)


@pytest.fixture(scope="module")
def wanted(local):
  """Global batches with one lane, and with two."""
  return {count: read(local, lanes=count) for count in (1, 2)}


@pytest.mark.parametrize("access", ["copy", "stream"])
@pytest.mark.parametrize(
  ("count", "processes"), [(1, 1), (1, 2), (1, 4), (2, 1), (2, 2)]
)
def test_access_lanes_and_processes_do_not_change_batches(
  remote, wanted, tmp_path, access, count, processes
):
  parts = []
  for i in range(processes):
    share = lanes.Share(count, i, processes)
    source = sources.open(
      DATA, cache=tmp_path / str(i), access=access, share=share
    )
    options = {"process_index": i, "process_count": processes}
    parts.append(read(source, lanes=count, **options))
  assert_same(joined(parts), wanted[count])


@pytest.mark.slow
@pytest.mark.parametrize("access", ["copy", "stream"])
@pytest.mark.parametrize("count", [1, 2])
def test_workers_do_not_change_batches(remote, wanted, tmp_path, access, count):
  source = sources.open(DATA, cache=tmp_path, access=access)
  loading = Loading(threads=2, workers=2)
  got = read(source, steps=3, lanes=count, loading=loading)
  assert_same(got, wanted[count][:3])


@pytest.mark.parametrize("access", ["copy", "stream"])
def test_a_run_goes_on_with_another_number_of_hosts(
  remote, wanted, tmp_path, access
):
  """Two hosts take two steps, and then one of them goes on alone."""

  def source_of(process, count):
    share = lanes.Share(2, process, count)
    cache = tmp_path / str(process)
    return sources.open(DATA, cache=cache, access=access, share=share)

  first = [
    read(source_of(i, 2), 2, lanes=2, process_index=i, process_count=2)
    for i in range(2)
  ]
  assert_same(joined(first), wanted[2][:2])
  rest = read(source_of(1, 1), STEPS - 2, lanes=2, first_step=2)
  assert_same(rest, wanted[2][2:])


@pytest.fixture
def requests(monkeypatch):
  """Gets the path and range of each range that is read from now on."""
  found, cat = [], Bucket.cat_file

  def watched(self, path, start=None, end=None, **options):
    if start is not None:
      found.append((path.rpartition("/")[2], start, end))
    return cat(self, path, start=start, end=end, **options)

  monkeypatch.setattr(Bucket, "cat_file", watched)
  return found


def shards_of(paths):
  return {path.rpartition("/")[2] for path in paths}


@pytest.mark.parametrize("process", [0, 1])
def test_a_host_copies_the_shards_of_its_lanes_alone(
  remote, tmp_path, process, monkeypatch, requests
):
  copied, fetch = [], Bucket.get_file
  monkeypatch.setattr(
    Bucket,
    "get_file",
    lambda self, path, to: copied.append(path) or fetch(self, path, to),
  )
  share = lanes.Share(2, process, 2)
  source = sources.open(DATA, cache=tmp_path, share=share)
  name = f"shard-0000{process}-of-00002.array_record"
  assert shards_of(copied) == {name}
  read(source, lanes=2, process_index=process, process_count=2)
  assert not requests
  # With another number of hosts, it copies what it lacks.
  copied.clear()
  sources.open(DATA, cache=tmp_path, share=lanes.Share(2, 0, 1))
  assert shards_of(copied) == {f"shard-0000{1 - process}-of-00002.array_record"}


def test_videos_of_other_lanes_are_read_where_they_are(
  remote, tmp_path, local, requests
):
  """As the online probe needs some."""
  source = sources.open(DATA, cache=tmp_path, share=lanes.Share(2, 0, 2))
  for i in range(len(local)):
    got, want = source[i], local[i]
    assert got.id == want.id
    window = (0, 0, want.height, want.width)
    np.testing.assert_array_equal(
      got.read([3, 1], sources.Window(*window)).y,
      want.read([3, 1], sources.Window(*window)).y,
    )
  assert {name for name, *_ in requests} == {
    "shard-00001-of-00002.array_record"
  }


@pytest.fixture
def long(buckets, write_video, tmp_path, monkeypatch):
  """gs://b/long: videos of seven chunks, of 16 frames each."""
  monkeypatch.setattr(chunks, "CHUNK_BYTES", 1)
  path = str(write_video(tmp_path / "a.mp4", frames=100, height=48, width=64))
  encoded = codec.encode(path, short_side=test_long_videos.SIDE)
  videos = {str(i): encoded for i in range(16)}
  test_long_videos.write(tmp_path / "long", videos)
  shutil.copytree(tmp_path / "long", buckets / "b" / "long")
  return "gs://b/long"


@pytest.mark.parametrize(
  "starts",
  [
    sampling.IndependentStarts(2),
    sampling.IntervalStarts(2.0),
    sampling.ShiftedStarts(),
  ],
)
def test_what_clips_need_is_read_ahead_and_no_more(
  long, tmp_path, monkeypatch, requests, starts
):
  """No thread that decodes waits for the bucket, and nothing is read twice."""
  source = sources.open(long, cache=tmp_path / "cache", access="stream")
  threads, counts, entry = [], [0, 0], ranged_shards.RangedShards._read

  def watched(self, shard, first, stop):
    threads.append(ranged_shards.threading.current_thread().name)
    counts[first >= 16 * 7] += stop - first
    return entry(self, shard, first, stop)

  monkeypatch.setattr(ranged_shards.RangedShards, "_read", watched)
  read(source, 1, starts=starts, canvas=32)
  assert threads
  assert all(name.startswith("read") for name in threads)
  # Two batches that are read at once may be of two epochs, and share a video.
  assert len(requests) - len(set(requests)) <= 2
  # Clips of 8 frames lie in two of the seven chunks of a video, at the most.
  assert 0 < counts[0] <= 4 * counts[1]
  assert not (tmp_path / "cache").exists()  # Nothing is copied.


def test_a_busy_bucket_is_tried_again(remote, wanted, tmp_path, monkeypatch):
  """429, 503 and answers that are cut short, for a third of the requests."""
  rng, cat = np.random.default_rng(0), Bucket.cat_file
  slept = []

  def busy(self, path, start=None, end=None, **options):
    data = cat(self, path, start=start, end=end, **options)
    if start is None:
      return data
    kind = int(rng.integers(9))
    if kind == 0:
      return data[:-1]
    if kind < 3:
      raise OSError(f"HTTP {(429, 503)[kind - 1]}")
    return data

  monkeypatch.setattr(Bucket, "cat_file", busy)
  monkeypatch.setattr(
    ranges.random, "uniform", lambda _, most: slept.append(most) or 0
  )
  source = sources.open(DATA, cache=tmp_path, access="stream")
  assert_same(read(source), wanted[1])
  assert slept
  assert max(slept) <= ranges._MOST_SECONDS


def test_little_memory_changes_nothing(remote, wanted, tmp_path, monkeypatch):
  """What was read ahead is forgotten, and read again."""
  monkeypatch.setattr(ranged_shards, "CACHE_BYTES", 1)
  source = sources.open(DATA, cache=tmp_path, access="stream")
  assert_same(read(source), wanted[1])
  assert len(source._stored._cache._values) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bucket_that_fails_ends_the_run(
  remote, tmp_path, monkeypatch, workers
):
  """At once after the first range that is given up, in worker processes too."""
  monkeypatch.setattr(ranges, "_TRIES", 2)
  source = sources.open(DATA, cache=tmp_path, access="stream")
  monkeypatch.setenv(Bucket.FAILS, ".array_record")
  with pytest.raises(StorageError, match=r"array_record: the storage failed"):
    read(source, 1, loading=Loading(threads=2, workers=workers))


def test_lost_access_is_no_bad_video(remote, tmp_path, monkeypatch):
  source = sources.open(DATA, cache=tmp_path, access="stream")

  def denied(*_, **__):
    raise PermissionError("expired")

  monkeypatch.setattr(Bucket, "cat_file", denied)
  with pytest.raises(ConfigError, match="no access: expired"):
    read(source, 1)


def test_a_mount_is_read_without_checksums(prepared, wanted, tmp_path):
  source = sources.open(prepared, cache=tmp_path, access="stream")
  assert_same(read(source), wanted[1])


def test_a_folder_of_videos_is_not_streamed(write_video, tmp_path):
  write_video(tmp_path / "a.mp4", frames=6)
  with pytest.raises(ConfigError, match=r"access=stream: .* folder of videos"):
    sources.open(tmp_path, access="stream")
