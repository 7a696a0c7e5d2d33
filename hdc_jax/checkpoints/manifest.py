"""The manifest of a checkpoint: the size and SHA-256 of each of its files.

It is written before the checkpoint counts as finished, and compared with the
files before they are trusted: neither the file system nor the format of the
arrays notices a bit that has changed.
"""

import concurrent.futures
import hashlib
import json
import os
from typing import Any

from etils import epath

from hdc_jax.checkpoints import storage_errors
from hdc_jax.runtime import buckets, files

MANIFEST = "manifest.json"
# Orbax's description of a checkpoint, in which `MARK` says that there is to be
# a manifest. Versions without manifests did not set it.
METADATA, MARK = "_CHECKPOINT_METADATA", "has_manifest"
# What Orbax still writes after the manifest: its sign of a finished checkpoint,
# whose content is not read, and the time of it in its description.
_LATER = (METADATA, "commit_success.txt")
_TIME = "commit_timestamp_nsecs"
_THREADS = 8


class DamagedError(Exception):
  """A file is missing, or is not as it was written; names it."""


def write(directory: epath.Path) -> None:
  """Writes the manifest of all files below a directory.

  Args:
    directory: A checkpoint whose arrays are written.

  Raises:
    OSError: If a disk fails.
    StorageError: If a bucket fails.
  """
  names = sorted(_names(directory) - {*_LATER, MANIFEST})
  with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
    described = pool.map(lambda name: _describe(directory / name), names)
    content = {
      "files": dict(zip(names, described, strict=True)),
      "metadata_sha256": _digest(_read_json(directory / METADATA)),
    }
  files.write(directory / MANIFEST, json.dumps(content, indent=1).encode())


def check(directory: epath.Path, item: str = "") -> bool:
  """Compares the files of a checkpoint with its manifest.

  Args:
    directory: The checkpoint.
    item: Name of the only subdirectory to compare; '' for all files.

  Returns:
    Whether there is a manifest; checkpoints of earlier versions have none.

  Raises:
    DamagedError: If a file is missing, or is not as it was written.
    StorageError: If a file cannot be read, which says nothing about it.
  """
  manifest = _read_json(directory / MANIFEST)
  metadata = _read_json(directory / METADATA)
  if manifest is None:
    if metadata and (metadata.get("custom_metadata") or {}).get(MARK):
      raise DamagedError(f"{MANIFEST} is missing")
    return False
  written = manifest.get("files")
  if not isinstance(written, dict) or not written:
    raise DamagedError(f"{MANIFEST} names no files")
  if _digest(metadata) != manifest.get("metadata_sha256"):
    raise DamagedError(f"{METADATA} is not as it was written")
  names = [name for name in written if name.startswith(item and f"{item}/")]
  with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
    # The first one in the manifest is named, as the results are in its order.
    list(pool.map(lambda name: _compare(directory, name, written[name]), names))
  return True


def _names(directory: epath.Path) -> set[str]:
  """Paths of all files below a directory, relative to it."""
  if buckets.is_remote(directory):
    root = f"{os.fspath(directory)}/"
    with buckets.translated_errors(directory):
      return {
        path.removeprefix(root)
        for path in buckets.object_sizes(os.fspath(directory))
      }
  return {
    os.path.relpath(os.path.join(folder, name), directory)
    for folder, _, names in os.walk(directory, onerror=_raise)
    for name in names
  }


def _raise(error: OSError) -> None:
  raise error


def _describe(path: epath.Path) -> dict[str, Any]:
  """The size and the SHA-256 of a file."""
  digest, size = hashlib.sha256(), 0
  with buckets.translated_errors(path), path.open("rb") as file:
    while block := file.read(1 << 20):
      digest.update(block)
      size += len(block)
  return {"size": size, "sha256": digest.hexdigest()}


def _digest(metadata: dict[str, Any] | None) -> str:
  """The SHA-256 of Orbax's description, but for when it was finished."""
  kept = {k: v for k, v in (metadata or {}).items() if k != _TIME}
  return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _compare(directory: epath.Path, name: str, written: Any) -> None:
  """Compares a file with its entry in the manifest.

  Raises:
    DamagedError: If it differs.
    StorageError: If it cannot be read.
  """
  if not isinstance(written, dict):
    raise DamagedError(f"{MANIFEST} has no size of {name}")
  try:
    found = _describe(directory / name)
  except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
    raise DamagedError(f"{name} is missing") from error
  except (ValueError, UnicodeError) as error:  # no name of a file
    raise DamagedError(f"{MANIFEST} names {name!r}") from error
  except OSError as error:
    raise storage_errors.unreadable(error) from error
  if found["size"] != written.get("size"):
    raise DamagedError(
      f"{name} has {found['size']} of {written.get('size')} bytes"
    )
  if found["sha256"] != written.get("sha256"):
    raise DamagedError(f"{name} is not as it was written")


def _read_json(path: epath.Path) -> dict[str, Any] | None:
  """Reads a JSON object; None if there is no such file.

  Raises:
    DamagedError: If it is none.
    StorageError: If it cannot be read.
  """
  try:
    content = json.loads(files.read(path))
  except (FileNotFoundError, NotADirectoryError):
    return None
  except (IsADirectoryError, ValueError, RecursionError) as error:
    raise DamagedError(f"{path.name} is not JSON") from error
  except OSError as error:
    raise storage_errors.unreadable(error) from error
  if not isinstance(content, dict):
    raise DamagedError(f"{path.name} is no JSON object")
  return content
