"""The end of one process ends all: real processes, of which one fails.

test_runs_of_processes has a whole run, which is resumed.
"""

import re
import time

import pytest

from hdc_jax.distributed import failures
from hdc_jax.errors import DataError, Hung, Lost
from tests import hosts

pytestmark = pytest.mark.slow

# Exit code of the others, and the longest time that they take, in seconds.
LOST = (Lost.exit_code, 30.0)
CASES = {
  "killed": (2, 1, "killed", *LOST),
  "killed, of four": (4, 2, "killed", *LOST),
  "coordinator killed, of four": (4, 0, "killed", *LOST),
  "frozen": (2, 1, "frozen", *LOST),
  "left without a word": (2, 1, "left", *LOST),
  "fails, of four": (4, 3, "damage", DataError.exit_code, 20.0),
  "coordinator fails": (2, 0, "damage", DataError.exit_code, 20.0),
  "hung": (2, 1, "hung", Hung.exit_code, 20.0),
}


def start(count, failing, how):
  port = hosts.free_port()
  return hosts.start(
    [
      ("-m", "tests.distributed.fail_on_hosts", port, count, i, failing, how)
      for i in range(count)
    ],
    devices=1,
  )


def test_no_thread_is_in_jax_at_the_end():
  """Python aborts if a thread comes back from JAX while it clears up."""
  for code, output in hosts.finish(start(2, 1, "nothing")):
    assert code == 0, output
    assert "left behind: ['MainThread'" in output
    assert failures._WATCHER not in output


@pytest.mark.parametrize("case", CASES)
def test_the_end_of_one_ends_all(case):
  count, failing, how, code, seconds = CASES[case]
  started = start(count, failing, how)
  others = [p for i, p in enumerate(started) if i != failing]
  for process in others:
    process.wait(120)
  end = time.time()
  if how != "frozen":
    started[failing].wait(60)
  ended = hosts.finish(started, end=True)
  failed = ended.pop(failing)
  began = float(re.search(r"fails at ([\d.]+)", failed[1])[1])
  for got, output in ended:
    assert got == code, output
    assert "Traceback" not in output
  assert end - began < seconds
  if how == "damage":
    assert failed[0] == code, failed
    # Either it has come to the same end by itself, or it says why it ends.
    line = f"error: process {failing}: shard 3 is damaged"
    for _, output in ended:
      assert line in output, output
