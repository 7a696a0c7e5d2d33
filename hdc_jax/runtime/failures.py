"""What ended a command, in one line, and the exit code of it.

A bug leaves its traceback in a file: in the directory of the run if there is
one, which is `options.workdir`, and in that of temporary files otherwise.
"""

import argparse
import contextlib
import errno
import os
import platform
import shlex
import tempfile
import time
import traceback
from collections.abc import Sequence

from hdc_jax.errors import (
  BUG,
  INTERRUPTED,
  ConfigError,
  DataError,
  HdcError,
  Preempted,
  StorageError,
)
from hdc_jax.runtime import redaction
from hdc_jax.runtime.interrupts import Terminated

# What an OSError says of a path that someone named wrongly.
_WRONG_PATH = (
  errno.ENOENT,
  errno.EEXIST,
  errno.ENOTDIR,
  errno.EISDIR,
  errno.EACCES,
  errno.EPERM,
  errno.EROFS,
  errno.ENAMETOOLONG,
  errno.ELOOP,
)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LONGEST_REASON = 300  # characters of a bug's message that are shown


def describe(
  error: BaseException, options: argparse.Namespace, argv: Sequence[str]
) -> tuple[str, int]:
  """The line and the exit code of what ended a command.

  Args:
    error: What ended it. If it is a bug, its traceback is written to a file.
    options: Options of the command.
    argv: Arguments of the command.
  """
  line, code = _describe(error, options, argv)
  return redaction.redact(line), code


def _describe(
  error: BaseException, options: argparse.Namespace, argv: Sequence[str]
) -> tuple[str, int]:
  """See `describe`; the line may hold secrets."""
  match error:
    case Terminated():
      words = ("stopped by SIGTERM", *map(str, error.args))
      return ": ".join(words), Preempted.exit_code
    case KeyboardInterrupt():
      return ": ".join(("interrupted", *map(str, error.args))), INTERRUPTED
    case HdcError():
      return f"error: {error}", error.exit_code
    case OSError():
      return _describe_os_error(error, options)
  kind = type(error).__name__
  first = (str(error).strip().splitlines() or [""])[0][:_LONGEST_REASON]
  what = f"error: a bug, please report it: {kind}{first and f': {first}'}"
  path = _save_traceback(error, getattr(options, "workdir", ""), argv)
  return f"{what}; the traceback is in {path}", BUG


def _describe_os_error(
  error: OSError, options: argparse.Namespace
) -> tuple[str, int]:
  """The line and the exit code of a failure of a disk or the network."""
  path = os.fsdecode(error.filename or "") if _has_path(error) else ""
  named = (_flag_of(path, options), path, error.strerror or str(error))
  what = "error: " + ": ".join(filter(None, named))
  if isinstance(error, ConnectionError | TimeoutError):
    return f"{what}; run the same command again", StorageError.exit_code
  if error.errno in _FULL:
    what = f"{what}; make room, and run the same command again"
    return what, DataError.exit_code
  if error.errno in _WRONG_PATH:
    what = f"{what}; name another path, or change its permissions"
    return what, ConfigError.exit_code
  return what, DataError.exit_code


def _has_path(error: OSError) -> bool:
  return isinstance(error.filename, str | bytes | os.PathLike)


def _flag_of(path: str, options: argparse.Namespace) -> str:
  """The flag that names a path, as '--json', or one above or below it."""
  for name, value in vars(options).items():
    if path and value and isinstance(value, str):
      folder, file = os.path.split(value)
      partial = os.path.join(folder, f".{file}.")  # see `files.writing`
      inside = os.path.join(value, "")
      if path == value or path.startswith((inside, partial)):
        return f"--{name}"
  return ""


def _save_traceback(
  error: BaseException, workdir: str, argv: Sequence[str]
) -> str:
  """Writes a traceback to the run's directory, or to that of temporary files.

  Returns:
    Where it is.
  """
  lines = traceback.format_exception(error)
  text = redaction.redact(f"{shlex.join(argv)}\n\n{''.join(lines)}")
  content = text.encode(errors="backslashreplace")
  moment = time.strftime("%Y%m%d-%H%M%S")
  name = f"error-{moment}-{platform.node()}-{os.getpid()}.log"
  remote = "://" in workdir
  if remote or os.path.isdir(workdir):
    path = os.path.join(workdir, name)
    # Whatever is wrong with this place, there is another one.
    with contextlib.suppress(Exception):
      if remote:
        # Launchers, which never come here, do without what it imports.
        from hdc_jax.runtime import files

        files.write(path, content)
        return path
      with open(path, "xb") as file:
        file.write(content)
      return path
  try:
    handle, path = tempfile.mkstemp(prefix="hdc_jax-", suffix=f"-{name}")
    with os.fdopen(handle, "wb") as file:
      file.write(content)
    return path
  except OSError:
    return "no file, as none can be written; --debug shows it"
