"""Processes that die, and those that follow them."""

import os
import pathlib
import subprocess
import sys
import time

import pytest

from hdc_jax.runtime.workers import Died, Workers


def square_or_die(number, mortal):
  if number in mortal:
    os._exit(1)
  return number**2


@pytest.mark.parametrize("mortal", [(0,), (3, 4, 5)])
def test_workers_keep_order_whoever_dies(mortal):
  mortal = frozenset(mortal)
  with Workers(square_or_die, 2) as workers:
    results = list(workers.map((i, mortal) for i in range(30)))
  assert [type(result) for result in results] == [
    Died if i in mortal else int for i in range(30)
  ]
  for i in set(range(30)) - mortal:
    assert results[i] == i**2


def test_workers_take_no_more_than_they_need():
  taken = []

  def calls():
    for i in range(100):
      taken.append(i)
      yield i, frozenset()

  with Workers(square_or_die, 2) as workers:
    results = workers.map(calls())
    assert next(results) == 0
    assert len(taken) <= 9


# Starts a process in a thread that ends, and prints the id of the process. That
# one keeps Python's lock in native code, so that none of its threads can run.
PARENT = """
import ctypes, multiprocessing, os, sys, threading, time
from hdc_jax.runtime import workers

def child():
  workers.follow_parent()
  print(os.getpid(), flush=True)
  ctypes.PyDLL(None).sleep(60)

if __name__ == "__main__":
  process = multiprocessing.get_context("spawn").Process(target=child)
  thread = threading.Thread(target=process.start)
  thread.start()
  thread.join()
  sys.stdin.readline()
  os._exit(6)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel does it")
@pytest.mark.parametrize("how", ["killed", "left"])
def test_no_process_outlives_its_parent(how, tmp_path):
  script = tmp_path / "parent.py"
  script.write_text(PARENT)
  with subprocess.Popen(
    [sys.executable, script],
    env=os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  ) as parent:
    child = int(parent.stdout.readline())
    time.sleep(0.5)
    os.kill(child, 0)  # It lives on, though the thread has ended.
    if how == "killed":
      parent.kill()
    else:
      parent.stdin.write("\n")
      parent.stdin.flush()
    parent.wait()
    deadline = time.monotonic() + 5.0
    while is_alive(child):
      assert time.monotonic() < deadline
      time.sleep(0.05)


def is_alive(pid):
  """Whether there is such a process, and not only its exit code."""
  try:
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
  except FileNotFoundError:
    return False
  return stat.rpartition(")")[2].split()[0] != "Z"
