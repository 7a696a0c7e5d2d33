"""How the processes of a run end together when one of them fails or is lost.

A process that fails tells the others, through the coordinator of JAX, and they
end seconds later with its exit code and its line: so every launcher sees the
same code, and does not try again what would fail again. Of a process that
vanishes, JAX's own heartbeats tell.
"""

import contextlib
import ctypes
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import jax
from jax._src import distributed

from hdc_jax.errors import Hung, Lost
from hdc_jax.runtime import watchdog

_log = logging.getLogger(__name__)

# Seconds without a heartbeat after which JAX takes a process for lost.
HEARTBEAT_SECONDS = 20
# Seconds that a process has to come to its own end, by its own error, after
# another one has failed; and how much longer process 0 has. JAX aborts all that
# have not ended before it, as it is their coordinator.
GRACE_SECONDS = 4.0
_LONGER_SECONDS = 3.0
# Seconds that a process that failed waits for the others: process 0 until all
# have ended, the others no longer than process 0 lives.
_FAILED_SECONDS = (10.0, 3.0)
_KEY = "hdc_jax/failed"
_POLL_SECONDS = 0.5
# What an error of JAX begins with, and what it says if another process does not
# answer.
_STATUS = re.compile(r"[A-Z_]{2,}: ")
_UNANSWERED = re.compile(
  r"^(UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|CANCELLED)|Gloo|NCCL|heartbeat"
  r"|[Cc]onnection|[Cc]oordination|\b[Pp]eer\b"
)
_WATCHER = "failures of other processes"
_noticed = threading.Event()  # another process has said that it failed
_over = threading.Event()


def watch() -> None:
  """Ends this process soon after another one has failed, from now on.

  Choice: Where JAX finds a process lost, it aborts all others. They end with
  the code of `Lost` then, instead of 134: the handler of SIGABRT is `_exit`,
  which is called with the number of the signal, and that is 6 as well.
  """
  assert Lost.exit_code == Hung.exit_code == signal.SIGABRT
  library = ctypes.CDLL(None)
  library.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
  library.signal(signal.SIGABRT, ctypes.cast(library._exit, ctypes.c_void_p))
  watchdog.before_end.append(announce)
  threading.Thread(
    target=_watch, name=_WATCHER, args=(_client(),), daemon=True
  ).start()


def stop_watching() -> None:
  """Lets this process come to its own end.

  The thread ends first, unless the coordinator does not answer it: Python
  aborts if a thread comes back from JAX while it clears up.
  """
  _over.set()
  for thread in threading.enumerate():
    if thread.name == _WATCHER:
      thread.join(_LONGER_SECONDS)


def failed_seconds() -> float:
  """How long this process waits for the others after it has failed."""
  return _FAILED_SECONDS[min(jax.process_index(), 1)]


def announce(code: int, line: str) -> None:
  """Tells the other processes that this one has failed; the first one counts.

  Args:
    code: Its exit code.
    line: What has happened, in a line.
  """
  said = line.removeprefix("error: ")
  notice = json.dumps([jax.process_index(), code, said])
  with contextlib.suppress(RuntimeError):  # another one has failed before
    _client().key_value_set(_KEY, notice)


@contextlib.contextmanager
def as_lost() -> Iterator[None]:
  """Translates the error of a computation that another process has left.

  Raises:
    Lost: If another process does not answer.
  """
  try:
    yield
  # An array whose computation has failed raises a ValueError.
  except (jax.errors.JaxRuntimeError, ValueError) as error:
    if jax.process_count() == 1 or not _STATUS.match(str(error)):
      raise
    if _noticed.is_set():  # this process is about to end, with its reason
      time.sleep(_FAILED_SECONDS[0])
    if not _UNANSWERED.search(str(error)):
      # If a process is lost, this one is aborted in this time.
      time.sleep(HEARTBEAT_SECONDS + GRACE_SECONDS)
      raise
    _log.debug("another process does not answer: %s", error)
    # What follows in brackets is the type of the error once more.
    reason = str(error).splitlines()[0].partition(" [type.googleapis")[0]
    raise Lost(
      f"another process of the run is lost, or does not answer: {reason}; "
      "rerun the same command to go on from the last checkpoint"
    ) from error


def _client() -> Any:
  """The client of JAX's coordinator."""
  return distributed.global_state.client


def _watch(client: Any) -> None:
  """Waits for the notice of a failure of another process."""
  while not _over.is_set():
    try:
      notice = client.key_value_try_get(_KEY)
    except RuntimeError:  # there is none
      _over.wait(_POLL_SECONDS)
      continue
    _noticed.set()
    number, code, line = json.loads(notice)
    first = jax.process_index() == 0
    if not _over.wait(GRACE_SECONDS + _LONGER_SECONDS * first):
      print(f"error: process {number}: {line}", file=sys.stderr, flush=True)
      os._exit(code)
