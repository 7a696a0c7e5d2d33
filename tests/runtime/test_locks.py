"""Locks of directories, held and contended by real processes."""

import errno
import json
import os
import platform
import re
import signal
import subprocess
import sys

import pytest

from hdc_jax.errors import ConfigError
from hdc_jax.runtime import locks

HOLD = """
import sys
from hdc_jax.runtime import locks
with locks.locked(sys.argv[1], "--workdir"):
  print("locked", flush=True)
  sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
  """Another process that has locked a directory."""
  with subprocess.Popen(
    [sys.executable, "-c", HOLD, tmp_path],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  ) as process:
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()


def test_a_second_process_is_told_who_has_the_lock(holder, tmp_path):
  with (
    pytest.raises(ConfigError) as refusal,
    locks.locked(tmp_path, "--workdir"),
  ):
    pytest.fail("both have the lock")
  message = str(refusal.value)
  assert f"--workdir={tmp_path} is in use by another process" in message
  assert f"process {holder.pid} on {platform.node()} since 2" in message
  assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", message)


def test_a_killed_process_leaves_no_lock(holder, tmp_path):
  holder.send_signal(signal.SIGKILL)
  holder.wait()
  assert (tmp_path / locks.LOCK).exists()
  with locks.locked(tmp_path, "--workdir"):
    assert json.loads((tmp_path / locks.LOCK).read_text())["pid"] == os.getpid()


def test_nothing_is_left_behind(tmp_path):
  with locks.locked(tmp_path / "new" / "run", "--workdir"):
    pass
  assert not (tmp_path / "new" / "run").exists()
  with locks.locked(tmp_path / "new" / "run", "--workdir"):
    (tmp_path / "new" / "run" / "result.json").write_text("{}")
  (left,) = (tmp_path / "new" / "run").iterdir()
  assert left.name == "result.json"
  with pytest.raises(KeyError), locks.locked(tmp_path, "--workdir"):
    raise KeyError
  assert not (tmp_path / locks.LOCK).exists()


def test_the_lock_of_another_host_is_waited_for(holder, tmp_path, monkeypatch):
  """A file system may keep the lock of a host that was lost."""
  holding = json.loads((tmp_path / locks.LOCK).read_text())
  (tmp_path / locks.LOCK).write_text(json.dumps(holding | {"host": "other"}))
  slept = []

  def sleep(seconds):
    slept.append(seconds)
    holder.kill()
    holder.wait()

  monkeypatch.setattr(locks.time, "sleep", sleep)
  with locks.locked(tmp_path, "--workdir"):
    assert slept == [1]


def test_the_wait_for_another_host_has_an_end(holder, tmp_path, monkeypatch):
  (tmp_path / locks.LOCK).write_text('{"host": "other"}')
  monkeypatch.setattr(locks, "_LEASE_SECONDS", -1)
  with (
    pytest.raises(ConfigError, match="on other"),
    locks.locked(tmp_path, "--workdir"),
  ):
    pytest.fail("both have the lock")


def test_a_file_system_without_locks_is_used_unlocked(tmp_path, monkeypatch):
  def fail(*_):
    raise OSError(locks.fcntl.F_GETLK, "no locks available")

  monkeypatch.setattr(locks.fcntl, "flock", fail)
  with locks.locked(tmp_path, "--a"), locks.locked(tmp_path, "--a"):
    pass


def test_a_file_that_was_removed_is_no_lock(tmp_path, monkeypatch):
  """The holder removes the file between its opening and its locking here."""
  flock, removed = locks.fcntl.flock, []

  def remove_first(handle, operation):
    flock(handle, operation)
    if not removed:
      removed.append(True)
      os.remove(tmp_path / locks.LOCK)

  monkeypatch.setattr(locks.fcntl, "flock", remove_first)
  with locks.locked(tmp_path, "--a"):
    assert (tmp_path / locks.LOCK).exists()


def test_buckets_have_no_locks():
  with locks.locked("gs://bucket/run", "--workdir"):
    pass


def test_a_full_disk_is_locked_all_the_same(tmp_path, monkeypatch):
  """Only who has the lock cannot be written."""

  def fail(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(os, "pwrite", fail)
  with (
    locks.locked(tmp_path, "--workdir"),
    pytest.raises(ConfigError, match="not known which"),
    locks.locked(tmp_path, "--workdir"),
  ):
    pass
  assert not list(tmp_path.iterdir())
