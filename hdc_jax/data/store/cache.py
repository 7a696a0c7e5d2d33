"""Local copies of datasets in buckets, for the hosts that train.

Training reads records in an order that is shuffled over the shards of a host's
lanes, which by default are all shards. So by default each host copies these
once, before it begins: a record then costs microseconds, instead of the tens of
milliseconds of a request to the bucket. `ranged_shards` reads without a copy.
"""

import concurrent.futures
import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator, Sequence

from etils import epath

from hdc_jax.data.store.index import INDEX, Index, Shard
from hdc_jax.errors import DataError
from hdc_jax.runtime import files
from hdc_jax.runtime.buckets import is_remote
from hdc_jax.runtime.progress import Progress

DEFAULT_CACHE = "~/.cache/hdc_jax"
# A partial copy is abandoned when nothing was written to it for so long.
_STALE_SECONDS = 3600
_PARALLEL_COPIES = 8  # Enough for a few gigabytes per second.


def copy_if_remote(
  directory: epath.Path, index: Index, cache: epath.PathLike
) -> epath.Path:
  """Copies shards of a dataset out of a bucket, unless the cache has them.

  A dataset on a disk is not copied. Each shard is checked against the index,
  and its copy exists whole or not at all, so several processes may call this at
  once.

  Args:
    directory: Directory of the dataset, on a disk or in a bucket.
    index: Index of the dataset, with the shards to copy.
    cache: Local directory that holds copies of datasets, by fingerprint.

  Returns:
    The local directory of the shards.

  Raises:
    DataError: If a shard is missing or damaged, or the disk is full.
    StorageError: If the bucket fails.
  """
  if not is_remote(directory):
    return directory
  copy, missing = _compare(index, cache)
  if missing:
    index.check_shards(directory)
    with _disk_errors_named(cache, directory, missing):
      _make_room(copy, missing)
      _copy_all(directory, missing, copy, len(index.shards) - len(missing))
  return copy


def check_space(
  directory: epath.PathLike, index: Index, cache: epath.PathLike
) -> None:
  """Checks that the disk has room for what `copy_if_remote` would copy.

  Args:
    directory: Directory of the dataset, on a disk or in a bucket.
    index: Index of the dataset, with the shards to copy.
    cache: Local directory that holds copies of datasets.

  Raises:
    DataError: If the disk has too little space, or cannot be written to.
  """
  if is_remote(directory):
    copy, missing = _compare(index, cache)
    with _disk_errors_named(cache, directory, missing):
      _make_room(copy, missing)


def _compare(
  index: Index, cache: epath.PathLike
) -> tuple[epath.Path, list[Shard]]:
  """Returns the directory of a dataset's copy, and the shards it lacks."""
  copy = epath.Path(cache).expanduser() / index.fingerprint
  paths = [os.fspath(copy / shard.name) for shard in index.shards]
  shards = zip(index.shards, files.sizes(paths), strict=True)
  return copy, [shard for shard, size in shards if size != shard.bytes]


def _make_room(copy: epath.Path, missing: Sequence[Shard]) -> None:
  """Removes abandoned partial copies; raises an OSError if space is short."""
  copy.mkdir(parents=True, exist_ok=True)
  _remove_stale(copy)
  if shutil.disk_usage(copy).free < _total_bytes(missing):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _total_bytes(shards: Sequence[Shard]) -> int:
  """Size of several shards together."""
  return sum(shard.bytes for shard in shards)


@contextlib.contextmanager
def _disk_errors_named(
  cache: epath.PathLike, directory: epath.PathLike, missing: Sequence[Shard]
) -> Iterator[None]:
  """Turns errors of the local disk into a `DataError` that names the field.

  Errors of a bucket are no OSError, apart from FileNotFoundError, and name what
  failed themselves.
  """
  try:
    yield
  except FileNotFoundError:
    raise
  except OSError as error:
    raise DataError(
      f"config.data.cache={cache}: {error.strerror or error}; the copy of "
      f"{directory} needs {_total_bytes(missing):,} bytes more: name a "
      "directory with more room"
    ) from error


def _remove_stale(copy: epath.Path) -> None:
  """Removes the partial copies of processes that were killed."""
  for path in copy.glob(".*.tmp"):
    with contextlib.suppress(FileNotFoundError):
      if time.time() - path.stat().mtime > _STALE_SECONDS:
        path.unlink()


def _copy_all(
  directory: epath.Path, shards: list[Shard], copy: epath.Path, num_done: int
) -> None:
  """Copies shards, several at a time.

  Args:
    directory: Directory of the dataset in the bucket.
    shards: The shards to copy.
    copy: The local directory to copy to.
    num_done: Number of shards that were copied before, for the progress.
  """
  total = num_done + len(shards)
  with (
    concurrent.futures.ThreadPoolExecutor(_PARALLEL_COPIES) as pool,
    Progress(total, "shards", f"copying {directory}", num_done) as progress,
  ):
    futures = [
      pool.submit(_copy_shard, directory, shard, copy) for shard in shards
    ]
    try:
      for future in concurrent.futures.as_completed(futures):
        future.result()
        progress.update()
    except BaseException:
      pool.shutdown(wait=False, cancel_futures=True)
      raise


def _copy_shard(directory: epath.Path, shard: Shard, copy: epath.Path) -> None:
  """Copies one shard and checks it against the index."""
  path, target = directory / shard.name, copy / shard.name
  if files.sizes([os.fspath(target)]) == [shard.bytes]:
    return  # Another process has copied it in the meantime.
  with files.writing(target) as local:
    files.fetch(os.fspath(path), local)
    if shard.of_file(local) != shard:
      raise DataError(
        f"{path}: the sha256 of this shard is not that in {INDEX}; "
        "delete it and `python -m hdc_jax.prepare` makes it again"
      )
