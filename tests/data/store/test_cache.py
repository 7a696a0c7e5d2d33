"""Datasets in buckets are copied, once and whole, before they are read."""

import collections
import concurrent.futures
import errno
import os
import shutil
import time

import numpy as np
import pytest

from hdc_jax.data import sources
from hdc_jax.data.store import cache, checksums
from hdc_jax.data.video.frames import Window
from hdc_jax.errors import DataError, StorageError
from tests.bucket import Bucket

DATA = "gs://b/data"


def assert_same(a, b):
  assert a.index == b.index
  for x, y in zip(a, b, strict=True):
    assert x.id == y.id
    window = Window(0, 0, x.height, x.width)
    np.testing.assert_array_equal(
      x.read([3, 1], window).y, y.read([3, 1], window).y
    )


def test_a_dataset_in_a_bucket_is_like_a_local_one(
  prepared, remote, tmp_path, capfd
):
  source = sources.open(DATA, cache=tmp_path / "cache")
  assert_same(source, sources.open(prepared))
  assert f"copying {DATA}: 2/2 shards" in capfd.readouterr().err
  (copy,) = (tmp_path / "cache").iterdir()
  assert copy.name == source.index.fingerprint
  assert sorted(path.name for path in copy.iterdir()) == [
    checksums.REMEMBERED,
    *(shard.name for shard in source.index.shards),
  ]


@pytest.fixture
def fetched(monkeypatch):
  """Gets the paths of what is copied from now on."""
  paths, fetch = [], Bucket.get_file
  monkeypatch.setattr(
    Bucket,
    "get_file",
    lambda self, path, local: paths.append(path) or fetch(self, path, local),
  )
  return paths


def test_what_is_there_is_not_copied_again(remote, tmp_path, fetched):
  source = sources.open(DATA, cache=tmp_path)
  assert len(fetched) == 2
  sources.open(DATA, cache=tmp_path)
  assert len(fetched) == 2
  first = tmp_path / source.index.fingerprint / source.index.shards[0].name
  first.write_bytes(first.read_bytes()[:-1])
  assert_same(sources.open(DATA, cache=tmp_path), source)
  assert fetched[2:] == [f"{DATA}/{first.name}"]


def test_the_index_is_read_without_copying(prepared, remote, fetched):
  assert sources.read_index(DATA) == sources.open(prepared).index
  assert not fetched
  (remote / "shard-00000-of-00002.array_record").unlink()
  with pytest.raises(DataError, match="this shard is missing"):
    sources.read_index(DATA)
  with pytest.raises(DataError, match=r"^gs://b/nowhere: no such directory"):
    sources.read_index("gs://b/nowhere")


def test_local_datasets_are_not_copied(prepared, tmp_path):
  sources.open(prepared, cache=tmp_path)
  assert not list(tmp_path.iterdir())


def test_several_may_copy_at_once(remote, tmp_path):
  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    calls = [
      pool.submit(sources.open, DATA, cache=tmp_path / "c") for _ in range(4)
    ]
    opened = [call.result() for call in calls]
  assert_same(opened[0], opened[3])
  assert not list(tmp_path.rglob(".*"))


def flip(path):
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


@pytest.mark.parametrize(
  ("damage", "error"),
  [
    (flip, "the sha256 of this shard is not that in index.json; delete it"),
    (lambda path: path.write_bytes(path.read_bytes()[:-1]), "this shard has"),
    (lambda path: path.unlink(), "this shard is missing"),
  ],
  ids=["flipped", "cut", "missing"],
)
def test_damage_in_the_bucket_is_found(remote, tmp_path, damage, error):
  name = "shard-00001-of-00002.array_record"
  damage(remote / name)
  with pytest.raises(DataError, match=f"^{DATA}/{name}: {error}") as raised:
    sources.open(DATA, cache=tmp_path)
  assert "\n" not in str(raised.value)
  left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
  assert name not in left
  assert not [name for name in left if name.startswith(".")]


def test_an_index_cut_off_is_found(remote, tmp_path):
  index = remote / "index.json"
  index.write_bytes(index.read_bytes()[:100])
  with pytest.raises(DataError, match=r"^gs://b/data/index\.json: not an inde"):
    sources.open(DATA, cache=tmp_path)
  index.unlink()
  with pytest.raises(DataError, match=r"^gs://b/data: has no index\.json"):
    sources.open(DATA, cache=tmp_path)
  with pytest.raises(DataError, match=r"^gs://b/nowhere: no such directory"):
    sources.open("gs://b/nowhere", cache=tmp_path)


def test_a_bucket_that_fails_is_an_error_in_one_line(
  remote, tmp_path, monkeypatch
):
  def fail(*_, **__):
    raise RuntimeError("503\nlater")

  monkeypatch.setattr(Bucket, "get_file", fail)
  with pytest.raises(StorageError, match=r"shard.*: the storage failed: 503$"):
    sources.open(DATA, cache=tmp_path)
  monkeypatch.setenv(Bucket.FAILS, "index.json")
  for reading in (sources.open, sources.read_index):
    with pytest.raises(StorageError, match=r"index\.json: the storage failed"):
      reading(DATA)


def test_copies_that_a_killed_process_began_are_removed(remote, tmp_path):
  copy = tmp_path / sources.read_index(DATA).fingerprint
  copy.mkdir()
  stale, recent = copy / ".shard-0.ab.tmp", copy / ".shard-0.cd.tmp"
  for path, age in ((stale, 2), (recent, 0.5)):
    path.touch()
    hours_ago = time.time() - 3600 * age
    os.utime(path, (hours_ago, hours_ago))
  sources.open(DATA, cache=tmp_path)
  assert recent.exists()
  assert not stale.exists()


def no_room(*_, **__):
  raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_full_disk_is_an_error_in_one_line(
  remote, tmp_path, monkeypatch, when
):
  if when == "before":
    usage = collections.namedtuple("usage", "free")(10)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: usage)
  else:
    monkeypatch.setattr(Bucket, "get_file", no_room)
  size = sum(path.stat().st_size for path in remote.glob("*.array_record"))
  error = (
    rf"^config\.data\.cache={tmp_path}: No space left on device; the copy of "
    rf"{DATA} needs {size:,} bytes more: name a directory with more room$"
  )
  with pytest.raises(DataError, match=error):
    sources.open(DATA, cache=tmp_path)
  if when == "before":
    with pytest.raises(DataError, match=error):
      cache.check_space(DATA, sources.read_index(DATA), tmp_path)


def test_originals_in_a_bucket(write_video, buckets, tmp_path):
  """A folder of videos, read where it is."""
  for name in ("a/0.mp4", "b/1.mp4"):
    write_video(tmp_path / name, frames=6)
    target = buckets / "b" / "videos" / name
    target.parent.mkdir(parents=True)
    shutil.copy(tmp_path / name, target)
  local, remote = sources.open(tmp_path), sources.open("gs://b/videos")
  assert_same(local, remote)
  (buckets / "b" / "videos" / "b" / "1.mp4").unlink()
  with pytest.raises(DataError, match=r"b/1\.mp4: cannot be opened: No such f"):
    remote[1]
