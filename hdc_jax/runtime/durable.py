"""Files and directories that survive a power loss.

What a program has written may be lost until the disk is asked for it (`fsync`),
and a file that was renamed without that may be empty after a power loss. So a
file is synced and renamed, and then its directory is synced.

Choice: this holds for metrics and reports too, as it costs milliseconds, and a
run that goes on after a power loss is to have metrics without a gap.
"""

import errno
import os

from etils import epath

# What file systems say that cannot sync directories.
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


def make_folder(path: epath.PathLike) -> None:
  """Makes a local directory, and those above it, which then survive as well.

  Args:
    path: The directory, which may exist.

  Raises:
    OSError: If the disk fails.
  """
  path = epath.Path(path)
  if path.is_dir():
    return
  make_folder(path.parent)
  path.mkdir(exist_ok=True)
  sync(path.parent)


def sync(path: epath.PathLike) -> None:
  """Waits until a local file or directory would survive a power loss.

  Args:
    path: A file, for its content; or a directory, for the names in it.

  Raises:
    OSError: If the disk fails.
  """
  handle = os.open(path, os.O_RDONLY)
  try:
    os.fsync(handle)
  except OSError as error:
    if error.errno not in _NO_SYNC:
      error.filename = os.fspath(path)
      raise
  finally:
    os.close(handle)


def append(path: epath.PathLike, content: bytes, size: int) -> None:
  """Appends to a local file.

  Args:
    path: The file.
    content: What is added.
    size: Size of the file before, in bytes. What is beyond it, as a call that
      failed may have left a part of its content, is removed.

  Raises:
    OSError: If the disk fails.
  """
  try:
    with open(path, "ab") as file:
      if file.tell() > size:
        file.truncate(size)
      file.write(content)
  except OSError as error:
    error.filename = os.fspath(path)
    raise
  sync(path)


def sync_all(directory: epath.PathLike) -> None:
  """Does the same for all that is below a local directory, and for itself.

  Args:
    directory: The directory.

  Raises:
    OSError: If the disk fails.
  """
  for folder, _, names in os.walk(directory, topdown=False):
    for name in names:
      sync(os.path.join(folder, name))
    sync(folder)
