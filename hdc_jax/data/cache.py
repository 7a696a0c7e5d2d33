"""Copies of datasets in buckets, on the disks of the hosts that train.

Training reads records in an order that is shuffled over all of them, and
ArrayRecord reads local files only: each host copies the shards once, whole.
"""

import concurrent.futures
import errno
import os
import shutil

from etils import epath

from hdc_jax import files
from hdc_jax.data import records
from hdc_jax.data.records import Index, Shard
from hdc_jax.errors import DataError, StorageError
from hdc_jax.progress import Progress

DEFAULT = "~/.cache/hdc_jax"
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
  copy = epath.Path(cache).expanduser() / index.fingerprint
  paths = [os.fspath(copy / shard.name) for shard in index.shards]
  missing = [
    shard
    for shard, size in zip(index.shards, files.sizes(paths), strict=True)
    if size != shard.bytes
  ]
  if not missing:
    return copy
  index.check_shards(directory)
  try:
    copy.mkdir(parents=True, exist_ok=True)
    _check_space(copy, sum(shard.bytes for shard in missing))
    _copy_all(directory, missing, copy, done=len(paths) - len(missing))
  except OSError as error:
    if isinstance(error, StorageError | FileNotFoundError):
      raise
    needed = sum(shard.bytes for shard in missing)
    raise DataError(
      f"config.data.cache={cache}: {error.strerror or error}; the copy of "
      f"{directory} needs {needed:,} bytes more: name a directory with more "
      "room"
    ) from error
  return copy


def _check_space(copy: epath.Path, needed: int) -> None:
  if shutil.disk_usage(copy).free < needed:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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
