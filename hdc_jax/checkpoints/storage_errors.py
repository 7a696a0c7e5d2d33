"""The errors of the storage of checkpoints, told apart from damage."""

import contextlib
import os
import re
from collections.abc import Iterator

from etils import epath

from hdc_jax.errors import DataError, HdcError, StorageError

# What a disk says of a file that is not there; anything else is its failure.
_MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
# How TensorStore names failures of the storage itself.
_STORAGE_FAILED = (
  "PERMISSION_DENIED",
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "RESOURCE_EXHAUSTED",
  "UNKNOWN",
)


def reason(error: BaseException) -> str:
  """What went wrong, in a line that fits into a message.

  Args:
    error: An error of the operating system, or of a library; TensorStore's
      have the number of the former at the end of a long text.
  """
  if isinstance(error, OSError) and error.strerror:
    return ": ".join(map(str, filter(None, (error.filename, error.strerror))))
  text = (str(error).strip().splitlines() or [type(error).__name__])[0]
  number = re.search(r"os_error_code='(\d+)'", text)
  paths = re.findall(r'"(/[^"]+|\w+://[^"]+)"', text)
  if number:
    path = [path.rstrip("\\") for path in paths[-1:]]  # before a quote in it
    return ": ".join((*path, os.strerror(int(number[1]))))
  return text if len(text) <= 300 else f"{text[:300]}…"


def unreadable(error: OSError) -> StorageError:
  """The error of a storage that fails to give a file."""
  return StorageError(
    f"{reason(error)}: the storage failed, and the checkpoint may be fine; run "
    "the same command again"
  )


@contextlib.contextmanager
def translated_errors(path: epath.Path) -> Iterator[None]:
  """Translates what Orbax raises when it reads a checkpoint.

  Args:
    path: The checkpoint, for the message.

  Raises:
    StorageError: If the storage failed.
    DataError: If the content cannot be restored.
  """
  try:
    yield
  except HdcError:
    raise
  except Exception as error:
    if isinstance(error, OSError) and not isinstance(error, _MISSING):
      raise unreadable(error) from error
    if str(error).startswith(_STORAGE_FAILED):
      raise StorageError(
        f"{reason(error)}: the storage failed; run the same command again"
      ) from error
    raise DataError(
      f"{path} cannot be restored: {reason(error)}; name another checkpoint, "
      "or rename this one so that an older one is used"
    ) from error
