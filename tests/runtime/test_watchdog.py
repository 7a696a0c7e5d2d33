"""Parts of a command that hang; they end a process, so it is one of its own."""

import subprocess
import sys
import textwrap

import pytest

from hdc_jax.errors import Hung


def run(code):
  """Runs code in which little patience has been imported."""
  program = f"""
import threading, time
from hdc_jax.runtime import watchdog
from hdc_jax.runtime.progress import Progress
{textwrap.dedent(code)}
print("done")
"""
  return subprocess.run(
    [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
  )


def test_a_part_without_end_ends_the_process():
  done = run("""
    watchdog.before_end.append(lambda code, line: print("told", code, line))
    with watchdog.limited("a step", 0.5, "config.train.patience"):
      time.sleep(30)  # here it hangs
    """)
  assert done.returncode == Hung.exit_code
  line = "no progress for 0.5 s in a step (config.train.patience): the stacks"
  assert f"error: {line}" in done.stderr
  assert 'File "<string>", line 8' in done.stderr  # where it hung
  assert done.stdout.startswith(f"told 6 {line}")


@pytest.mark.parametrize(
  "code",
  [
    """
    with watchdog.limited("a", 0.5), Progress(9, "steps") as progress:
      for _ in range(8):
        time.sleep(0.2)
        progress.update()
    """,
    """
    with watchdog.limited("a", 0.5):
      with watchdog.limited("b", 5):  # a limit of its own
        time.sleep(1)
      time.sleep(0.3)
      with watchdog.limited("c", 0):  # none
        time.sleep(1)
      time.sleep(0.3)
    time.sleep(1)
    """,
    """
    outer = watchdog.limited("a", 0.5)
    inner = watchdog.limited("b", 5)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)  # as a generator that is closed later
    time.sleep(1)
    """,
  ],
  ids=["progress", "inner limits", "in any order"],
)
def test_what_ends_in_time_may_go_on(code):
  done = run(code)
  assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_the_outer_limit_holds_after_the_inner_part():
  done = run("""
    with watchdog.limited("the run", 0.5):
      with watchdog.limited("a step", 5):
        pass
      time.sleep(30)
    """)
  assert done.returncode == Hung.exit_code
  assert "no progress for 0.5 s in the run: " in done.stderr
