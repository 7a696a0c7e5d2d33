"""Ends the process if a part of a command makes no progress for too long.

When a disk or another host fails, a call may never return, and nobody would
notice. A command marks its parts with `limited`. Whatever counts progress (see
`progress.Progress`) restarts the clock, and so do the beginning and the end of
a part.
"""

import contextlib
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from hdc_jax.errors import Hung

# Seconds without progress after which a part counts as hung. A host may wait
# for others, which copy the dataset from slower disks, as long as for START.
START_SECONDS = 7200
COMPILE_SECONDS = 3600
SAVE_SECONDS = 1800
EVALUATION_SECONDS = 1800
END_SECONDS = 3600

# Functions that are called before the process ends, with the exit code and the
# line that says why.
before_end: list[Callable[[int, str], None]] = []

# The parts that have begun and not ended, innermost last, each with a key: what
# is done in it, and its limit in seconds; 0 for none.
_parts: dict[object, tuple[str, float]] = {}
_last = time.monotonic()
_changed = threading.Condition()
_watching = False


@contextlib.contextmanager
def limited(doing: str, seconds: float, field: str = "") -> Iterator[None]:
  """Marks a part of a command, which may hold other parts.

  In another thread than the main one, it does nothing.

  Args:
    doing: What is done, such as 'saving'.
    seconds: Longest time without progress; 0 for no limit.
    field: Field of the config that sets the limit, for the message.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  name = f"{doing} ({field})" if field else doing
  key = object()
  with _changed:
    _parts[key] = name, seconds
    _start_watching()
  progressed()
  try:
    yield
  finally:
    with _changed:
      del _parts[key]
    progressed()


def progressed() -> None:
  """Restarts the clock."""
  global _last
  with _changed:
    _last = time.monotonic()
    _changed.notify_all()


def _start_watching() -> None:
  global _watching
  if not _watching:
    _watching = True
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
  """Waits for the end of the limit of the innermost part, whatever it is."""
  with _changed:
    while True:
      name, seconds = next(reversed(_parts.values()), ("", 0))
      remaining = _last + seconds - time.monotonic()
      if not seconds:
        _changed.wait()
      elif remaining > 0:
        _changed.wait(remaining)
      else:
        _end(name, seconds)


def _end(name: str, seconds: float) -> NoReturn:
  """Ends the process with a line, after the stacks of all threads."""
  faulthandler.dump_traceback(all_threads=True)
  error = Hung(
    f"no progress for {seconds:g} s in {name}: the stacks of all threads are "
    "above; rerun the same command to go on"
  )
  print(f"error: {error}", file=sys.stderr, flush=True)
  for function in before_end:
    with contextlib.suppress(Exception):
      function(error.exit_code, str(error))
  os._exit(error.exit_code)
