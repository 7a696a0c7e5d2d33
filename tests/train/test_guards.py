"""What ends a run; the watchdog ends its process, so it has one of its own."""

import subprocess
import sys
import textwrap
import time

import pytest

from hdc_jax.errors import Hung
from hdc_jax.train import guards


def run(code):
  """Runs code with a watchdog that has little patience."""
  program = f"""
import time
from hdc_jax.train import guards
with guards.Watchdog(0.5) as watchdog:
{textwrap.indent(textwrap.dedent(code), "  ")}
"""
  return subprocess.run(
    [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
  )


def test_a_step_without_end_ends_the_process():
  found = run("time.sleep(30)  # here it hangs")
  assert found.returncode == Hung.exit_code
  assert "error: no step has ended for 0.5 s" in found.stderr
  assert 'File "<string>", line 5' in found.stderr  # where it hung


def test_steps_that_end_in_time_may_go_on():
  found = run(
    """
    for _ in range(8):
      time.sleep(0.2)
      watchdog.step_ended()
    print("done")
    """
  )
  assert (found.returncode, found.stdout) == (0, "done\n"), found.stderr


@pytest.mark.parametrize("seconds", [0, 0.1])
def test_it_rests_without_limit_and_afterwards(seconds):
  with guards.Watchdog(seconds):
    time.sleep(0.3 if not seconds else 0.0)
  time.sleep(0.3)
