"""Files on disks and in buckets, there whole or not at all.

A path is local or begins with `gs://` or `s3://`. etils.epath serves all of
them; here is what it leaves open: a bucket has no directories to make and
nothing to rename, takes an object in one piece, answers slowly, so that many
files are asked for at once, and fails in many ways, which come out as one.
"""

import contextlib
import errno
import importlib.util
import itertools
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import fsspec
from etils import epath
from etils.epath import backend

from hdc_jax.errors import ConfigError, StorageError

# What each kind of storage needs, and the extra that brings it.
_NEEDS = {"gs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3")}

# Other processes write to the same directories: a listing is not remembered.
for _scheme in _NEEDS:
  fsspec.config.conf.setdefault(_scheme, {}).setdefault(
    "use_listings_cache", False
  )


def is_remote(path: epath.PathLike) -> bool:
  """Whether a path is in a bucket."""
  return "://" in os.fspath(path)


def absolute(path: epath.PathLike) -> epath.Path:
  """A path that does not depend on the working directory."""
  path = epath.Path(path)
  # epath would take a bucket for a directory here.
  return path if is_remote(path) else path.resolve()


def check(path: epath.PathLike) -> None:
  """Checks that what a path's storage needs is there. Local paths are fine.

  Raises:
    ConfigError: If it is not installed, or if there is no such storage, or no
      access to it.
    StorageError: If the bucket does not answer.
  """
  if not is_remote(path):
    return
  scheme = os.fspath(path).partition("://")[0]
  if scheme not in _NEEDS:
    raise ConfigError(f"{path}: is neither local nor gs:// nor s3://")
  package, extra = _NEEDS[scheme]
  if importlib.util.find_spec(package) is None:
    raise ConfigError(f"{path}: needs `pip install 'hdc-jax[{extra}]'`")
  with _answering(path), contextlib.suppress(FileNotFoundError):
    epath.Path(path).stat()


def write(path: epath.PathLike, content: bytes) -> None:
  """Writes a file; on a disk under another name, to be renamed when whole.

  Args:
    path: Of the file; its directory is made.
    content: All of it.
  """
  path = epath.Path(path)
  if is_remote(path):
    with _answering(path):
      path.write_bytes(content)
    return
  with writing(path) as local:
    epath.Path(local).write_bytes(content)


def write_json(path: epath.PathLike, value: Any) -> None:
  """Writes a value as JSON, see `write`."""
  write(path, (json.dumps(value, indent=1) + "\n").encode())


@contextlib.contextmanager
def writing(path: epath.PathLike) -> Iterator[str]:
  """Has a file written by something that can write to a disk only.

  Several processes may do so at once; the last one wins.

  Args:
    path: Of the file; its directory is made.

  Yields:
    The local file to write. It becomes `path` at the end, unless an error is
    raised, and is gone then.
  """
  path = epath.Path(path)
  if is_remote(path):
    with tempfile.TemporaryDirectory(prefix="hdc_jax-") as folder:
      local = os.path.join(folder, path.name)
      yield local
      with _answering(path):
        _storage(path).put_file(local, os.fspath(path))
    return
  path.parent.mkdir(parents=True, exist_ok=True)
  partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
  try:
    yield os.fspath(partial)
    partial.replace(path)
  except BaseException:
    partial.unlink(missing_ok=True)
    raise


@contextlib.contextmanager
def reading(path: epath.PathLike) -> Iterator[str]:
  """Has a file read by something that can read from a disk only.

  Yields:
    The file itself, or a local copy of an object, which is gone afterwards.

  Raises:
    FileNotFoundError: If there is no such object.
    StorageError: If it cannot be copied.
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

  Raises:
    FileNotFoundError: If it is not there.
    StorageError: If the bucket does not answer.
  """
  if not is_remote(path):
    shutil.copyfile(path, local)
    return
  with _answering(path):
    _storage(path).get_file(path, local)


def read(path: epath.PathLike) -> bytes:
  """All of a file.

  Raises:
    OSError, StorageError: If it cannot be read.
  """
  with _answering(path):
    return epath.Path(path).read_bytes()


def read_text(path: epath.PathLike) -> str:
  """A text file, UTF-8, with or without a mark; other bytes as `os.fsdecode`.

  Raises:
    OSError, StorageError: If it cannot be read.
  """
  return read(path).decode("utf-8-sig", "surrogateescape")


def remove(path: epath.PathLike) -> None:
  """Removes a file, if it is there."""
  with contextlib.suppress(FileNotFoundError), _answering(path):
    epath.Path(path).unlink()


def sizes(paths: Sequence[str]) -> list[int | None]:
  """Bytes of each file, None where there is none; one listing of a bucket."""
  remote = [path for path in paths if is_remote(path)]
  found = {}
  if remote:
    with _answering(remote[0]):
      found = _find(_common_folder(remote))
  return [found.get(p) if is_remote(p) else _local_size(p) for p in paths]


def _common_folder(paths: Sequence[str]) -> str:
  """The folder, of any depth, that all of some remote paths lie in."""
  folders = zip(*(path.split("/")[:-1] for path in paths), strict=False)
  same = itertools.takewhile(lambda names: len(set(names)) == 1, folders)
  return "/".join(name for name, *_ in same)


def exists(path: epath.PathLike) -> bool:
  """Whether there is a file or directory."""
  if not is_remote(path):
    return epath.Path(path).exists()
  # Asked so directly, a bucket that fails does not say no.
  with contextlib.suppress(FileNotFoundError), _answering(path):
    epath.Path(path).stat()
    return True
  return False


def is_dir(path: epath.PathLike) -> bool:
  """Whether a path is that of a directory, in a bucket one that holds files."""
  with _answering(path):
    return epath.Path(path).is_dir()


def names(directory: epath.PathLike) -> list[str]:
  """Names of what is in a directory, sorted."""
  with _answering(directory):
    return sorted(path.name for path in epath.Path(directory).iterdir())


def below(directory: epath.PathLike) -> list[str]:
  """Finds all files in a directory and its sub-folders.

  Hidden files and folders are left alone.

  Returns:
    Paths relative to the directory, with '/', in no particular order.
  """
  directory = os.fspath(directory)
  if is_remote(directory):
    with _answering(directory):
      paths = _find(directory)
    inside = [p.removeprefix(directory).lstrip("/") for p in paths]
    return [p for p in inside if "/." not in f"/{p}"]
  found = []
  for folder, subfolders, names in os.walk(directory, followlinks=True):
    subfolders[:] = [name for name in subfolders if not name.startswith(".")]
    inside = os.path.relpath(folder, directory).replace(os.sep, "/")
    prefix = "" if inside == "." else f"{inside}/"
    found += [prefix + name for name in names if not name.startswith(".")]
  return found


def _find(directory: str) -> dict[str, int]:
  """Size of every object below a bucket's directory, by its path."""
  scheme, _, _ = directory.partition("://")
  found = _storage(directory).find(directory, detail=True)
  return {f"{scheme}://{name}": info["size"] for name, info in found.items()}


def _local_size(path: str) -> int | None:
  try:
    return os.path.getsize(path)
  except OSError:
    return None


def _storage(path: epath.PathLike) -> fsspec.AbstractFileSystem:
  return backend.fsspec_backend.fs(path)


@contextlib.contextmanager
def _answering(path: epath.PathLike) -> Iterator[None]:
  """Turns whatever a bucket's client raises into an error of ours."""
  try:
    yield
  except FileNotFoundError as error:
    reason = os.strerror(errno.ENOENT)
    raise FileNotFoundError(errno.ENOENT, reason, os.fspath(path)) from error
  except Exception as error:
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    if full or not is_remote(path):
      raise
    first = (str(error).strip() or repr(error)).splitlines()[0]
    if _is_denied(error):
      raise ConfigError(
        f"{path}: no access: {first}; log in, or ask for the right to it"
      ) from error
    raise StorageError(f"{path}: the storage failed: {first}") from error


def _is_denied(error: Exception) -> bool:
  """Whether credentials or rights are missing, which no retry brings."""
  return (
    isinstance(error, PermissionError)
    or type(error).__name__.endswith("CredentialsError")
    or str(error).startswith(("Forbidden", "Anonymous caller"))  # gcsfs
  )
