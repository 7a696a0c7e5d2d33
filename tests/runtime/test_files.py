"""Files on disks and in buckets."""

import concurrent.futures
import errno
import os
import pathlib

import av.error
import pytest
from etils import epath

from hdc_jax.runtime import files
from hdc_jax.runtime.buckets import is_remote
from tests.bucket import Bucket


@pytest.fixture(params=["disk", "gs", "s3"])
def folder(request, tmp_path, buckets):
  """Where to write, and the same as a local directory."""
  if request.param == "disk":
    return str(tmp_path / "b" / "deep"), tmp_path / "b" / "deep"
  return f"{request.param}://b/deep", buckets / "b" / "deep"


def hidden(path):
  return [p for p in path.parents[1].rglob(".*")]


def test_what_is_written_is_there_whole(folder):
  path, local = folder
  files.write(f"{path}/a.txt", b"first")
  files.write(f"{path}/a.txt", b"second")
  files.write_json(epath.Path(path) / "b.json", {"x": 1})
  assert (local / "a.txt").read_bytes() == b"second"
  assert (local / "b.json").read_text() == '{\n "x": 1\n}\n'
  assert files.list_names(path) == ["a.txt", "b.json"]
  assert not hidden(local)


def test_writing_through_a_local_file(folder):
  path, local = folder
  with files.writing(f"{path}/a.bin") as name:
    pathlib.Path(name).write_bytes(b"12345")
    assert not (local / "a.bin").exists()
  assert (local / "a.bin").read_bytes() == b"12345"
  with pytest.raises(ZeroDivisionError), files.writing(f"{path}/a.bin") as name:
    pathlib.Path(name).write_bytes(b"1")
    raise ZeroDivisionError
  assert (local / "a.bin").read_bytes() == b"12345"
  assert not os.path.exists(name)
  assert not hidden(local)


@pytest.mark.parametrize("full", [OSError, av.error.OSError])
def test_a_full_disk_names_the_file(tmp_path, full):
  """Python names no file where a handle is written, nor does FFmpeg."""
  path = tmp_path / "a.mp4"
  with pytest.raises(OSError, match=r"a\.mp4") as found, files.writing(path):
    raise full(errno.ENOSPC, "No space left on device")
  assert (found.value.errno, found.value.filename) == (errno.ENOSPC, str(path))


def test_many_may_write_one_file(folder):
  path, local = folder

  def write(i):
    with files.writing(f"{path}/a.bin") as name:
      pathlib.Path(name).write_bytes(bytes([i]) * 1000)

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    list(pool.map(write, range(32)))
  assert len(set((local / "a.bin").read_bytes())) == 1
  assert not hidden(local)


def test_reading_through_a_local_file(folder):
  path, _ = folder
  files.write(f"{path}/a.mp4", b"12345")
  with files.reading(f"{path}/a.mp4") as name:
    assert pathlib.Path(name).read_bytes() == b"12345"
    assert name.endswith("a.mp4")
  assert os.path.exists(name) == (not is_remote(path))
  missing = f"{path}/b.mp4"
  if is_remote(path):
    with (
      pytest.raises(FileNotFoundError, match=f"No such file.*{missing}"),
      files.reading(missing),
    ):
      pass


def test_text_keeps_what_is_not_utf8(folder):
  path, _ = folder
  files.write(f"{path}/a.txt", b"\xef\xbb\xbfa\xff\r\n")
  assert files.read_text(f"{path}/a.txt") == "a\udcff\r\n"
  with pytest.raises(FileNotFoundError, match="No such file") as raised:
    files.read_text(f"{path}/b.txt")
  assert raised.value.strerror == "No such file or directory"


def test_sizes_are_looked_up(folder):
  path, _ = folder
  names = ["a b.mp4", "c/d.mp4", "c/e/f.mp4"]
  for i, name in enumerate(names):
    files.write(f"{path}/{name}", bytes(i))
  paths = [f"{path}/{name}" for name in (*names, "none.mp4", "c")]
  assert files.sizes(paths)[:4] == [0, 1, 2, None]
  assert files.sizes(paths[1:2]) == [1]
  assert files.sizes([]) == []
  assert files.is_dir(f"{path}/c")
  assert not files.is_dir(f"{path}/d")
  assert not files.is_dir(paths[0])


def test_a_listing_is_asked_for_once(buckets, monkeypatch):
  """Of 300,000 videos in a bucket no one is looked at alone."""
  for i in range(5):
    files.write(f"gs://b/v/{i}.mp4", b"1")
  calls = []
  monkeypatch.setattr(
    Bucket, "open", lambda *_, **__: pytest.fail("one by one")
  )
  find = Bucket.find
  monkeypatch.setattr(
    Bucket, "find", lambda *a, **k: calls.append(a) or find(*a, **k)
  )
  assert files.sizes([f"gs://b/v/{i}.mp4" for i in range(6)]) == [1] * 5 + [
    None
  ]
  assert len(calls) == 1


def test_buckets_are_not_below_the_working_directory(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert str(files.absolute("gs://b/x")) == "gs://b/x"
  assert str(files.absolute("x")) == str(tmp_path / "x")


def test_what_is_there_and_what_is_removed(buckets, tmp_path):
  for path in ("gs://b/a", tmp_path / "a"):
    assert not files.exists(path)
    files.remove(path)
    files.write(path, b"\xff")
    assert files.exists(path)
    assert files.read(path) == b"\xff"
    files.remove(path)
    assert not files.exists(path)
