"""Reading, writing and listing files, on disks and in buckets alike.

A path is local or begins with `gs://` or `s3://`. etils.epath serves all of
them. This module adds what epath leaves open:

- A file that is written exists whole or not at all, also after a power loss. A
  disk gets it under another name, renamed when it is there (see `durable`); a
  bucket takes an object in one piece.
- A bucket has no directories to make, and it answers slowly: many files are
  looked up in one listing.
- Whatever the client of a bucket raises comes out as one of three errors, see
  `buckets.translated_errors`. Every function here that takes a path in a bucket
  raises them.
"""

import contextlib
import errno
import itertools
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from etils import epath

from hdc_jax.runtime import durable
from hdc_jax.runtime.buckets import (
  file_system,
  is_remote,
  object_sizes,
  translated_errors,
)

# What writing to a disk without room says.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def absolute(path: epath.PathLike) -> epath.Path:
  """Makes a path independent of the working directory.

  Args:
    path: A path, which need not exist.

  Returns:
    The absolute path; that of a bucket is absolute already.

  Example:
    >>> absolute("gs://bucket/videos")
    PosixGPath('gs://bucket/videos')
  """
  path = epath.Path(path)
  # epath would take a bucket for a directory here.
  return path if is_remote(path) else path.resolve()


def write(path: epath.PathLike, content: bytes) -> None:
  """Writes a file, which then exists whole or not at all.

  Args:
    path: The file to write. Directories that it needs are made.
    content: The whole content.

  Raises:
    OSError: If a disk fails.
    StorageError: If a bucket fails.
  """
  path = epath.Path(path)
  if is_remote(path):
    with translated_errors(path):
      path.write_bytes(content)
    return
  with writing(path) as local:
    epath.Path(local).write_bytes(content)


def write_json(path: epath.PathLike, value: Any) -> None:
  """Writes a value as indented JSON; otherwise like `write`.

  Args:
    path: The file to write.
    value: A value that JSON can hold.
  """
  write(path, (json.dumps(value, indent=1) + "\n").encode())


@contextlib.contextmanager
def writing(path: epath.PathLike) -> Iterator[str]:
  """Provides a local file to write, for code that can write to a disk only.

  Several processes may write the same path at once; the last one wins.

  Args:
    path: The file to write in the end. Directories that it needs are made.

  Yields:
    The local file to write. At the end of the `with` block it becomes `path`;
    after an error it is removed and `path` stays as it was.

  Raises:
    OSError: If a disk fails.
    StorageError: If a bucket fails.
  """
  path = epath.Path(path)
  if is_remote(path):
    with tempfile.TemporaryDirectory(prefix="hdc_jax-") as folder:
      local = os.path.join(folder, path.name)
      yield local
      with translated_errors(path):
        file_system(path).put_file(local, os.fspath(path))
    return
  durable.make_folder(path.parent)
  partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
  try:
    yield os.fspath(partial)
    durable.sync(partial)
    partial.replace(path)
    durable.sync(path.parent)
  except OSError as error:
    if error.filename or error.errno not in _FULL:
      raise
    # The error of a handle names no file, and that of FFmpeg takes no name.
    raise OSError(error.errno, error.strerror, os.fspath(path)) from error
  finally:
    with contextlib.suppress(OSError):  # an error on its way says more
      partial.unlink(missing_ok=True)


@contextlib.contextmanager
def reading(path: epath.PathLike) -> Iterator[str]:
  """Provides a local file to read, for code that can read from a disk only.

  Args:
    path: The file to read.

  Yields:
    A local path itself; for an object in a bucket, the path of a copy that is
    removed at the end of the `with` block.

  Raises:
    FileNotFoundError: If there is no such object.
    StorageError: If the object cannot be copied.
  """
  path = os.fspath(path)
  if not is_remote(path):
    yield path
    return
  with tempfile.TemporaryDirectory(prefix="hdc_jax-") as folder:
    local = os.path.join(folder, os.path.basename(path))
    fetch(path, local)
    yield local


def fetch(path: str, local: str) -> None:
  """Copies a file or an object to a local file.

  Args:
    path: The file or object to copy.
    local: The local file to write.

  Raises:
    FileNotFoundError: If there is no such file or object.
    StorageError: If the bucket does not answer.
  """
  if not is_remote(path):
    shutil.copyfile(path, local)
    return
  with translated_errors(path):
    file_system(path).get_file(path, local)


def read(path: epath.PathLike) -> bytes:
  """Reads a whole file.

  Args:
    path: The file to read.

  Returns:
    Its content.

  Raises:
    OSError: If it does not exist, or cannot be read from a disk.
    StorageError: If the bucket fails.
  """
  with translated_errors(path):
    return epath.Path(path).read_bytes()


def read_text(path: epath.PathLike) -> str:
  """Reads a whole text file in UTF-8.

  Args:
    path: The file to read.

  Returns:
    The text, without a byte order mark. Bytes that are not UTF-8 are kept as
    surrogates, as `os.fsdecode` does with names of files.

  Raises:
    OSError: If it does not exist, or cannot be read from a disk.
    StorageError: If the bucket fails.
  """
  return read(path).decode("utf-8-sig", "surrogateescape")


def remove(path: epath.PathLike) -> None:
  """Removes a file, if it exists.

  Args:
    path: The file to remove.
  """
  with contextlib.suppress(FileNotFoundError), translated_errors(path):
    epath.Path(path).unlink()


def sizes(paths: Sequence[str]) -> list[int | None]:
  """Looks up the sizes of many files; in a bucket with a single listing.

  Args:
    paths: `[N]` local paths, or paths in one bucket.

  Returns:
    `[N]` sizes in bytes, None for a file that does not exist.
  """
  remote = [path for path in paths if is_remote(path)]
  remote_sizes: dict[str, int] = {}
  if remote:
    with translated_errors(remote[0]):
      remote_sizes = object_sizes(_common_folder(remote))
  return [
    remote_sizes.get(path) if is_remote(path) else _local_size(path)
    for path in paths
  ]


def _common_folder(paths: Sequence[str]) -> str:
  """The folder, of any depth, that all of some remote paths lie in."""
  folders = zip(*(path.split("/")[:-1] for path in paths), strict=False)
  same = itertools.takewhile(lambda names: len(set(names)) == 1, folders)
  return "/".join(name for name, *_ in same)


def exists(path: epath.PathLike) -> bool:
  """Tells whether a file or directory exists.

  Args:
    path: The file or directory.

  Returns:
    Whether it exists.
  """
  if not is_remote(path):
    return epath.Path(path).exists()
  # `Path.exists` would answer False for a bucket that fails; `stat` raises.
  with contextlib.suppress(FileNotFoundError), translated_errors(path):
    epath.Path(path).stat()
    return True
  return False


def is_dir(path: epath.PathLike) -> bool:
  """Tells whether a path is a directory.

  Args:
    path: The path.

  Returns:
    Whether it is a directory; in a bucket, whether there are objects below it.
  """
  with translated_errors(path):
    return epath.Path(path).is_dir()


def list_names(directory: epath.PathLike) -> list[str]:
  """Lists the files and directories directly in a directory.

  Args:
    directory: The directory to list.

  Returns:
    Their names without the directory, sorted.
  """
  with translated_errors(directory):
    return sorted(path.name for path in epath.Path(directory).iterdir())


def _local_size(path: str) -> int | None:
  """Size of a local file in bytes, None if it does not exist."""
  try:
    return os.path.getsize(path)
  except OSError:
    return None
