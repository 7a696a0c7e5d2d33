"""Reads ranges of objects in buckets, and tries again where that may help.

The clients of buckets try again themselves: gcsfs six times, s3fs five times,
for seconds. A bucket that is busy, or that many hosts read at once, answers 429
or 503 for longer than that.
"""

import random
import threading
import time
from typing import cast

from hdc_jax.errors import StorageError
from hdc_jax.runtime import buckets

# A range is tried so often, in about half a minute. The waits double, up to a
# random factor, so that hosts that failed together do not return together.
_TRIES = 10
_FIRST_SECONDS = 0.1
_MOST_SECONDS = 30.0
_LOOK_SECONDS = 0.2  # between two looks at whether the process ends


def read(path: str, start: int, stop: int, given_up: threading.Event) -> bytes:
  """Reads a range of an object in a bucket.

  Args:
    path: The object.
    start: Its first byte.
    stop: One more than its last byte.
    given_up: Is set when a range has failed in every try. All threads that read
      from the bucket share it: from then on, none of them tries again, so that
      the run ends at once.

  Returns:
    The bytes, as many as asked for.

  Raises:
    FileNotFoundError: If there is no such object.
    ConfigError: If access is denied.
    StorageError: If the bucket fails in every try.
  """
  for attempt in range(_TRIES):
    try:
      with buckets.translated_errors(path):
        system = buckets.file_system(path)
        data = cast(bytes, system.cat_file(path, start=start, end=stop))
      if len(data) == stop - start:
        return data
      raise StorageError(
        f"{path}: the storage sent {len(data)} of {stop - start} bytes"
      )
    except StorageError:
      longest = min(_FIRST_SECONDS * 2**attempt, _MOST_SECONDS)
      last = attempt == _TRIES - 1
      if last or not _wait(random.uniform(0, longest), given_up):
        given_up.set()
        raise
  raise AssertionError("the last try returns or raises")


def _wait(seconds: float, given_up: threading.Event) -> bool:
  """Waits; returns False at once if there is nothing to wait for any more."""
  end = time.monotonic() + seconds
  while not given_up.wait(min(max(end - time.monotonic(), 0), _LOOK_SECONDS)):
    if not threading.main_thread().is_alive():
      return False  # The process is about to end, and waits for this thread.
    if time.monotonic() >= end:
      return True
  return False
