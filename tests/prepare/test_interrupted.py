"""Preparing that is stopped midway, and goes on."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from hdc_jax.data.store import index
from tests.prepare.preparing import arguments, contents, run


@pytest.fixture(scope="module")
def long_folder(write_video, tmp_path_factory):
  """Enough to be interrupted at."""
  folder = tmp_path_factory.mktemp("long")
  path = write_video(folder / "0.mp4", frames=60, height=240, width=320)
  for i in range(1, 16):
    (folder / f"{i}.mp4").hardlink_to(path)
  return folder


# Tests that run in the background inherit that Ctrl-C is ignored.
UNIGNORE_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
command = [sys.executable, "-m", "hdc_jax.prepare", *sys.argv[1:]]
os.execv(sys.executable, command)
"""


def stop_midway(source, output, sent):
  """Prepares in a process of its own; sends a signal after the first shard."""
  process = subprocess.Popen(
    [
      sys.executable,
      "-c",
      UNIGNORE_CTRL_C,
      *arguments(source, output, "--shards=8"),
    ],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )
  while not list(output.glob("shard-00000*.json")):
    assert process.poll() is None, process.communicate()
    time.sleep(0.01)
  children = children_of(process.pid)
  if sent == signal.SIGINT:  # as a terminal does
    os.killpg(process.pid, sent)
  else:
    process.send_signal(sent)
  process.wait(30)
  deadline = time.monotonic() + 10
  while any(is_alive(pid) for pid in children):
    assert time.monotonic() < deadline, "workers outlive their parent"
    time.sleep(0.02)
  return process.returncode, process.communicate()[1]


def children_of(pid):
  path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
  return path.read_text().split() if path.exists() else []


def is_alive(pid):
  path = pathlib.Path(f"/proc/{pid}/stat")
  try:
    return path.read_text().rsplit(")")[-1].split()[0] != "Z"
  except OSError:
    return False


def test_killed_midway_it_goes_on(long_folder, tmp_path, capfd):
  output, fresh = tmp_path / "output", tmp_path / "fresh"
  output.mkdir()
  code, _ = stop_midway(long_folder, output, signal.SIGKILL)
  assert code == -signal.SIGKILL
  assert not (output / "index.json").exists()
  finished = {
    path: path.stat().st_mtime_ns
    for path in output.glob("*.array_record")
    if path.with_suffix(".json").exists()
  }
  assert 0 < len(finished) < 8
  assert run(long_folder, output, "--shards=8") == 0
  assert f"{len(finished)} of 8 shards are finished" in capfd.readouterr().out
  assert finished == {path: path.stat().st_mtime_ns for path in finished}
  assert run(long_folder, fresh, "--shards=8") == 0
  assert contents(output) == contents(fresh)
  assert not list(output.glob(".*"))


@pytest.mark.parametrize(
  ("sent", "code", "words"),
  [
    (signal.SIGINT, 130, "interrupted: "),
    (signal.SIGTERM, 5, "stopped by SIGTERM: "),
  ],
)
def test_stopped_it_leaves_finished_shards_and_says_so(
  long_folder, tmp_path, sent, code, words
):
  got, err = stop_midway(long_folder, tmp_path, sent)
  assert got == code
  assert err.splitlines()[-1].startswith(words)
  assert "of 8 shards are finished; run the same command again" in err
  assert "Traceback" not in err
  assert [path.name for path in tmp_path.glob(".*")] == [index.UNFINISHED]
  assert not (tmp_path / "index.json").exists()
  assert list(tmp_path.glob("*.array_record"))
