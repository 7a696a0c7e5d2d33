"""What is renamed when it is complete is on the disk before and after."""

import errno
import os
import sys

import pytest

from hdc_jax.runtime import durable, files
from tests.checkpoints import states

_LISTENING = []


def _hear(event, arguments):
  """Python tells of each renaming, whoever asks for it, and of removals."""
  if not _LISTENING:
    return
  if event == "os.rename":
    _LISTENING[-1].append(("rename", *map(os.fspath, arguments[:2])))
  if event == "os.rmdir":
    _LISTENING[-1].append(("remove", os.fspath(arguments[0])))


@pytest.fixture
def events(monkeypatch):
  """What is synced, renamed and removed, in this order."""
  heard, fsync = [], os.fsync

  def observed(handle):
    heard.append(("sync", os.readlink(f"/proc/self/fd/{handle}")))
    fsync(handle)

  monkeypatch.setattr(os, "fsync", observed)
  if not _hear.__dict__:
    _hear.installed = True
    sys.addaudithook(_hear)
  _LISTENING.append(heard)
  yield heard
  _LISTENING.remove(heard)


def test_a_file_is_synced_then_renamed_then_its_directories(tmp_path, events):
  files.write(tmp_path / "a" / "b" / "c.json", b"{}")
  folders, (before, rename, after) = events[:2], events[2:]
  assert folders == [("sync", str(tmp_path)), ("sync", str(tmp_path / "a"))]
  assert before[1].endswith(".tmp")
  assert rename == ("rename", before[1], str(tmp_path / "a" / "b" / "c.json"))
  assert after == ("sync", str(tmp_path / "a" / "b"))


def test_what_is_appended_is_synced(tmp_path, events):
  path = tmp_path / "a.txt"
  durable.append(path, b"one\n", 0)
  durable.append(path, b"two\n", 4)
  assert path.read_bytes() == b"one\ntwo\n"
  assert events == [("sync", str(path))] * 2


def test_a_part_that_was_appended_is_replaced(tmp_path):
  path = tmp_path / "a.txt"
  durable.append(path, b"one\n", 0)
  with states.no_file_longer_than(6), pytest.raises(OSError, match=r"a\.txt"):
    durable.append(path, b"two\n", 4)
  assert path.read_bytes() == b"one\ntw"
  durable.append(path, b"three\n", 4)
  assert path.read_bytes() == b"one\nthree\n"


def test_a_checkpoint_is_synced_then_renamed_then_older_ones_go(
  tmp_path, events
):
  path = states.save(tmp_path, 1, 2, keep=1)
  partial = f"{path / '2'}.orbax-checkpoint-tmp"
  renamed = events.index(("rename", partial, str(path / "2")))
  before = {event[1] for event in events[:renamed] if event[0] == "sync"}
  removed = events.index(("remove", str(path / "1")))
  after = {event[1] for event in events[renamed:removed] if event[0] == "sync"}
  # Orbax writes to these two once more, see `manifest`.
  later = {"_CHECKPOINT_METADATA", "commit_success.txt"}
  for file in states.files(path / "2"):
    name = str(file.relative_to(path / "2"))
    if name in later:
      assert str(file) in after
    else:
      assert f"{partial}/{name}" in before
      assert os.path.dirname(f"{partial}/{name}") in before
  assert {str(tmp_path), str(path), str(path / "2")} <= after


def test_a_disk_that_cannot_sync_directories_is_no_failure(
  tmp_path, monkeypatch
):
  def refuse(handle):
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

  monkeypatch.setattr(os, "fsync", refuse)
  durable.sync(tmp_path)


def test_a_disk_that_fails_then_is_named_and_nothing_is_left(
  tmp_path, monkeypatch
):
  def fail(handle):
    raise OSError(errno.EIO, os.strerror(errno.EIO))

  monkeypatch.setattr(os, "fsync", fail)
  with pytest.raises(OSError, match=r"error: '.*\.a\..*\.tmp'$"):
    files.write(tmp_path / "a", b"1")
  assert not list(tmp_path.iterdir())


def test_a_full_disk_is_named(tmp_path):
  """A write by a handle does not know the name of its file."""
  with (
    pytest.raises(OSError, match=rf"device: '{tmp_path}/a'$"),
    files.writing(tmp_path / "a"),
  ):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
