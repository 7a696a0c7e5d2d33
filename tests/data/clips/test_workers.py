"""Worker processes of the loader, and what is left when their parent ends."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import grain
import numpy as np
import pytest

from hdc_jax.data.clips import filling
from hdc_jax.data.options import Loading
from hdc_jax.errors import DataError
from tests.runtime.test_workers import is_alive

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[3]
SHARED = pathlib.Path("/dev/shm")
PARENT = """
import multiprocessing
from tests.data.clips import test_workers

if __name__ == "__main__":
  read = test_workers.elements(-1)
  next(read)
  print(*(p.pid for p in multiprocessing.active_children()), flush=True)
  while True:
    next(read)
"""

# Python runs it at every start: it names what the processes share.
SITE = """
import multiprocessing.shared_memory
multiprocessing.shared_memory._SHM_NAME_PREFIX = "/{0}"
multiprocessing.current_process()._config["semprefix"] = "/{0}"
"""


class Leave(grain.transforms.Map):
  """Makes an array of each number; ends its process at one of them."""

  def __init__(self, last):
    self.last = last

  def map(self, element):
    if element == self.last:
      os._exit(0)
    return {"x": np.full((1000, 1000), element)}


def elements(last):
  """Large elements of two worker processes, of which one ends."""
  dataset = grain.MapDataset.range(1 << 30).map(Leave(last))
  return filling.read_ahead(dataset, 8_000_000, Loading(threads=1, workers=2))


def test_a_worker_that_leaves_silently_ends_the_reading():
  read = elements(last=4)
  # Elements that the process had ready may be lost with it, even the first.
  start = time.monotonic()
  with pytest.raises(DataError, match="ended with code 0 and no error"):
    for element in read:
      start = time.monotonic()
      assert element["x"][0, 0] < 4
  assert time.monotonic() - start < 20.0


class Fail(grain.transforms.Map):
  """Raises an error at a number; other elements take their time."""

  def map(self, element):
    if element == 3:
      raise DataError("video 3 is damaged")
    time.sleep(0.5)
    return {"x": np.full(10, element)}


def test_an_error_arrives_as_it_is():
  """In its turn, and though the other process is at work."""
  dataset = grain.MapDataset.range(1 << 30).map(Fail())
  read = filling.read_ahead(dataset, 80, Loading(threads=1, workers=2))
  for number in range(3):
    assert next(read)["x"][0] == number
  with pytest.raises(DataError) as raised:
    next(read)
  assert str(raised.value) == "video 3 is damaged"


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared memory is elsewhere")
def test_nothing_is_left_of_a_parent_that_is_killed(tmp_path):
  mark = f"hdc{os.getpid()}"
  (tmp_path / "sitecustomize.py").write_text(SITE.format(mark))
  script = tmp_path / "parent.py"
  script.write_text(PARENT)
  with subprocess.Popen(
    [sys.executable, script],
    env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
    stdout=subprocess.PIPE,
    text=True,
  ) as parent:
    workers = list(map(int, parent.stdout.readline().split()))
    assert list(SHARED.glob(f"*{mark}*"))
    parent.send_signal(signal.SIGKILL)
  assert len(workers) == 2
  deadline = time.monotonic() + 10.0
  while any(map(is_alive, workers)) or any(SHARED.glob(f"*{mark}*")):
    assert time.monotonic() < deadline, list(SHARED.glob(f"*{mark}*"))
    time.sleep(0.1)
