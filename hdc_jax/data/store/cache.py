"""Copies of datasets in buckets, on the disks of the hosts that train.

Training reads records in an order that is shuffled over all of them, and
ArrayRecord reads local files only: each host copies the shards once, whole.
"""

import concurrent.futures
import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator, Sequence

from etils import epath

from hdc_jax.data.store import records
from hdc_jax.data.store.records import Index, Shard
from hdc_jax.errors import DataError
from hdc_jax.runtime import files
from hdc_jax.runtime.progress import Progress

DEFAULT = "~/.cache/hdc_jax"
_STALE_SECONDS = 3600  # since anything was last written to a copy
_AT_ONCE = 8  # copies under way: enough for a few gigabytes a second


def local_copy(
  directory: epath.Path, index: Index, cache: epath.PathLike
) -> epath.Path:
  """Copies the shards that the cache lacks; local datasets are left alone.

  Each is checked against the index and there whole or not at all, so several
  processes may do this at once.

  Args:
    directory: of the dataset.
    index: of the dataset.
    cache: local directory that holds copies of datasets, by fingerprint.

  Returns:
    Where the shards are.

  Raises:
    DataError: if a shard is missing or damaged, or the disk full.
  """
  if not files.is_remote(directory):
    return directory
  copy, missing = _compare(index, cache)
  if missing:
    index.check_shards(directory)
    with _naming(cache, directory, missing):
      _make_room(copy, missing)
      _copy_all(directory, missing, copy, len(index.shards) - len(missing))
  return copy


def check_space(
  directory: epath.PathLike, index: Index, cache: epath.PathLike
) -> None:
  """Checks that a dataset in a bucket can be copied here, see `local_copy`.

  Raises:
    DataError: if the disk has too little space, or cannot be written to.
  """
  if files.is_remote(directory):
    copy, missing = _compare(index, cache)
    with _naming(cache, directory, missing):
      _make_room(copy, missing)


def _compare(
  index: Index, cache: epath.PathLike
) -> tuple[epath.Path, list[Shard]]:
  """Where the copy of a dataset is to be, and what it lacks."""
  copy = epath.Path(cache).expanduser() / index.fingerprint
  paths = [os.fspath(copy / shard.name) for shard in index.shards]
  shards = zip(index.shards, files.sizes(paths), strict=True)
  return copy, [shard for shard, size in shards if size != shard.bytes]


def _make_room(copy: epath.Path, missing: Sequence[Shard]) -> None:
  copy.mkdir(parents=True, exist_ok=True)
  _remove_stale(copy)
  if shutil.disk_usage(copy).free < _bytes(missing):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _bytes(shards: Sequence[Shard]) -> int:
  return sum(shard.bytes for shard in shards)


@contextlib.contextmanager
def _naming(
  cache: epath.PathLike, directory: epath.PathLike, missing: Sequence[Shard]
) -> Iterator[None]:
  """Names the field where a disk fails; buckets name themselves."""
  try:
    yield
  except FileNotFoundError:
    raise
  except OSError as error:
    raise DataError(
      f"config.data.cache={cache}: {error.strerror or error}; the copy of "
      f"{directory} needs {_bytes(missing):,} bytes more: name a directory "
      "with more room"
    ) from error


def _remove_stale(copy: epath.Path) -> None:
  """Removes what killed processes had begun to copy."""
  for path in copy.glob(".*.tmp"):
    with contextlib.suppress(FileNotFoundError):
      if time.time() - path.stat().mtime > _STALE_SECONDS:
        path.unlink()


def _copy_all(
  directory: epath.Path, shards: list[Shard], copy: epath.Path, done: int
) -> None:
  """Copies shards, several at a time."""
  total = done + len(shards)
  with (
    concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool,
    Progress(total, "shards", f"copying {directory}", done) as progress,
  ):
    copies = [pool.submit(_copy, directory, shard, copy) for shard in shards]
    try:
      for future in concurrent.futures.as_completed(copies):
        future.result()
        progress.update()
    except BaseException:
      pool.shutdown(wait=False, cancel_futures=True)
      raise


def _copy(directory: epath.Path, shard: Shard, copy: epath.Path) -> None:
  path, target = directory / shard.name, copy / shard.name
  if files.sizes([os.fspath(target)]) == [shard.bytes]:
    return  # another process was faster
  with files.writing(target) as local:
    files.fetch(os.fspath(path), local)
    if records.describe(local, shard.name, shard.videos) != shard:
      raise DataError(
        f"{path}: the sha256 of this shard is not that in {records.INDEX}; "
        "delete it and `python -m hdc_jax.prepare` makes it again"
      )
