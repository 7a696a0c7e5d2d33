"""Locks of directories, so that two commands never write to the same one.

The lock is one of the operating system (`flock`) on a file in the directory. It
ends with the process that holds it, however that ends, so none is left behind.
The content of the file tells others who holds it. Buckets have no such locks.
"""

import contextlib
import datetime
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from typing import Any

from etils import epath

from hdc_jax.errors import ConfigError
from hdc_jax.runtime import durable
from hdc_jax.runtime.buckets import is_remote

LOCK = ".lock"
# The server of a network file system keeps the lock of a host that was lost for
# so many seconds (the lease of NFS 4 is 90 by default).
_LEASE_SECONDS = 120


@contextlib.contextmanager
def locked(directory: epath.PathLike, flag: str) -> Iterator[None]:
  """Locks a directory for as long as the `with` block runs.

  If a process of another host has the lock, it is waited for, as long as the
  lock of a host that was lost may last. File systems without locks, and
  buckets, are not locked.

  Args:
    directory: Directory to lock. It is made if there is none, and removed
      again if nothing is written to it.
    flag: Flag that names the directory, for the message.

  Raises:
    ConfigError: If another process has the lock; names it.
    OSError: If the directory cannot be written.
  """
  if is_remote(directory):
    yield
    return
  absolute = os.path.abspath(os.fspath(directory))
  path = os.path.join(absolute, LOCK)
  is_new = not os.path.exists(absolute)
  durable.make_folder(absolute)
  handle = _wait_for(path, flag, directory)
  try:
    yield
  finally:
    if handle is not None:
      # While it is still locked: whoever has it open will find it gone.
      with contextlib.suppress(OSError):
        os.remove(path)
      os.close(handle)
    if is_new:
      with contextlib.suppress(OSError):  # it has files
        os.rmdir(absolute)


def is_locked(directory: epath.PathLike) -> bool:
  """Whether a process seems to have the lock of a directory; see `locked`.

  The lock itself is not touched, as a command that wants it at this moment
  would be refused. The file that a lost process left does not count on its
  host; on another host, it counts.

  Args:
    directory: A directory on a disk.
  """
  holder = _read(os.path.join(os.fspath(directory), LOCK))
  if holder.get("host") != platform.node():
    return bool(holder)
  try:
    os.kill(int(holder["pid"]), 0)
  except PermissionError:
    return True
  except (OSError, LookupError, TypeError, ValueError):
    return False
  return True


def _wait_for(path: str, flag: str, directory: epath.PathLike) -> int | None:
  """Locks a file, and returns its handle; None if it cannot be locked.

  Raises:
    ConfigError: If another process has the lock.
  """
  deadline = time.monotonic() + _LEASE_SECONDS
  while True:
    try:
      return _lock(path)
    except BlockingIOError as error:
      holder = _read(path)
      is_here = holder.get("host", "") in ("", platform.node())
      if is_here or time.monotonic() > deadline:
        raise ConfigError(
          f"{flag}={os.fspath(directory)} is in use by another process "
          f"({_describe(holder)}): wait until it has ended, stop it, or name "
          "another directory"
        ) from error
      time.sleep(1)


def _lock(path: str) -> int | None:
  """Locks a file, and writes into it who holds the lock.

  Returns:
    The handle of the file; None if the file system has no locks.

  Raises:
    BlockingIOError: If another process has the lock.
  """
  while True:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
      fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
      # The process that had the lock may have removed the file meanwhile.
      if not _is_at(handle, path):
        os.close(handle)
        continue
      with contextlib.suppress(OSError):  # a full disk: it is locked anyway
        os.truncate(handle, 0)
        os.pwrite(handle, json.dumps(_this_process()).encode() + b"\n", 0)
      return handle
    except BlockingIOError:
      os.close(handle)
      raise
    except OSError:
      os.close(handle)
      return None


def _is_at(handle: int, path: str) -> bool:
  """Whether an open file is the one at a path."""
  try:
    return os.path.samestat(os.fstat(handle), os.stat(path))
  except FileNotFoundError:
    return False


def _this_process() -> dict[str, Any]:
  """What others are told of this process."""
  since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
  return {"host": platform.node(), "pid": os.getpid(), "since": since}


def _read(path: str) -> dict[str, Any]:
  """What the process that holds a lock says of itself; {} if unknown."""
  try:
    with open(path, encoding="utf-8") as file:
      holder = json.load(file)
  except (OSError, ValueError):
    return {}
  return holder if isinstance(holder, dict) else {}


def _describe(holder: dict[str, Any]) -> str:
  """The process that holds a lock, in words."""
  words = (
    f"{word} {holder[name]}"
    for name, word in (("pid", "process"), ("host", "on"), ("since", "since"))
    if name in holder
  )
  return " ".join(words) or "not known which"
