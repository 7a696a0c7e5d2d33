"""Reads ranges of objects in buckets, and tries again where that may help.

The clients of buckets try again themselves: gcsfs six times, s3fs five times,
for seconds. A bucket that is busy, or that many hosts read at once, answers 429
or 503 for longer than that.
"""

import random
import time
from typing import cast

from hdc_jax.errors import StorageError
from hdc_jax.runtime import buckets

# A range is tried so often, in about half a minute. The waits double, up to a
# random factor, so that hosts that failed together do not return together.
_TRIES = 10
_FIRST_SECONDS = 0.1
_MOST_SECONDS = 30.0


def read(path: str, start: int, stop: int) -> bytes:
  """Reads a range of an object in a bucket.

  Args:
    path: The object.
    start: Its first byte.
    stop: One more than its last byte.

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
      if attempt == _TRIES - 1:
        raise
    longest = min(_FIRST_SECONDS * 2**attempt, _MOST_SECONDS)
    time.sleep(random.uniform(0, longest))
  raise AssertionError("the last try returns or raises")
