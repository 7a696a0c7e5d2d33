"""Buckets: what `gs://` and `s3://` paths need, and how their errors read.

`files` serves paths on disks and in buckets alike. What holds for buckets only
is here: the packages that they need, the check that one answers, and the
translation of the many errors that their clients raise into few.
"""

import contextlib
import errno
import importlib.util
import os
from collections.abc import Iterator
from typing import Any, cast

import fsspec
from etils import epath
from etils.epath import backend

from hdc_jax.errors import ConfigError, StorageError

# The package that serves each scheme.
_CLIENTS = {"gs": "gcsfs", "s3": "s3fs"}

# fsspec must not cache listings: other processes write to the same directories.
for _scheme in _CLIENTS:
  fsspec.config.conf.setdefault(_scheme, {}).setdefault(
    "use_listings_cache", False
  )


def is_remote(path: epath.PathLike) -> bool:
  """Tells whether a path is in a bucket.

  Args:
    path: Any path.

  Returns:
    True for a path with a scheme, False for a local one.

  Example:
    >>> is_remote("gs://bucket/videos"), is_remote("/data/videos")
    (True, False)
  """
  return "://" in os.fspath(path)


def check_access(path: epath.PathLike) -> None:
  """Checks that the bucket of a path can be used; local paths always pass.

  Args:
    path: A path, which need not exist.

  Raises:
    ConfigError: If the scheme is unknown, its package is not installed, or
      access to the bucket is denied.
    StorageError: If the bucket does not answer.

  Example:
    >>> check_access("/data/videos")
    >>> check_access("ftp://host/videos")
    Traceback (most recent call last):
      ...
    hdc_jax.errors.ConfigError: ftp://host/videos: is neither local nor gs:// \
nor s3://
  """
  if not is_remote(path):
    return
  scheme = os.fspath(path).partition("://")[0]
  if scheme not in _CLIENTS:
    raise ConfigError(f"{path}: is neither local nor gs:// nor s3://")
  package = _CLIENTS[scheme]
  if importlib.util.find_spec(package) is None:
    raise ConfigError(f"{path}: needs `pip install {package}`")
  with translated_errors(path), contextlib.suppress(FileNotFoundError):
    epath.Path(path).stat()


def file_system(path: epath.PathLike) -> fsspec.AbstractFileSystem:
  """Returns the client of a path's bucket.

  Args:
    path: A path in a bucket.

  Returns:
    The fsspec file system that serves the path; one for each scheme.
  """
  return backend.fsspec_backend.fs(path)


def object_sizes(directory: str) -> dict[str, int]:
  """Lists all objects below a directory of a bucket.

  Args:
    directory: A path in a bucket.

  Returns:
    The size in bytes of each object, by its full path, scheme included.
  """
  scheme, _, _ = directory.partition("://")
  infos = file_system(directory).find(directory, detail=True)
  infos = cast(dict[str, dict[str, Any]], infos)
  return {f"{scheme}://{name}": info["size"] for name, info in infos.items()}


@contextlib.contextmanager
def translated_errors(path: epath.PathLike) -> Iterator[None]:
  """Translates what the client of a bucket raises inside a `with` block.

  Errors on local paths pass unchanged, and so does that of a full local disk.

  Args:
    path: The path that is read or written in the block, for the message.

  Raises:
    FileNotFoundError: If the path does not exist.
    ConfigError: If access is denied.
    StorageError: If the bucket failed for any other reason.
  """
  try:
    yield
  except FileNotFoundError as error:
    reason = os.strerror(errno.ENOENT)
    raise FileNotFoundError(errno.ENOENT, reason, os.fspath(path)) from error
  except Exception as error:
    disk_full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    if disk_full or not is_remote(path):
      raise
    first_line = (str(error).strip() or repr(error)).splitlines()[0]
    if _is_denied(error):
      raise ConfigError(
        f"{path}: no access: {first_line}; log in, or ask for the right to it"
      ) from error
    raise StorageError(f"{path}: the storage failed: {first_line}") from error


def _is_denied(error: Exception) -> bool:
  """Whether credentials or rights are missing, so that retrying is no use."""
  return (
    isinstance(error, PermissionError)
    or type(error).__name__.endswith("CredentialsError")
    or str(error).startswith(("Forbidden", "Anonymous caller"))  # gcsfs
  )
