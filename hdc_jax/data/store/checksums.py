"""Checks that the shards of a dataset are those that its index names.

A shard is read once for that, and then remembered by its size, its time of
change and its inode, in a file beside the shards, or in the cache where these
cannot be written to. A file system that several hosts share is so checked once
for all of them.
"""

import concurrent.futures
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from hdc_jax.data.store.index import INDEX, Index, Shard
from hdc_jax.errors import DataError
from hdc_jax.runtime import files
from hdc_jax.runtime.progress import Progress

REMEMBERED = "checked.json"
_THREADS = 8  # SHA-256 takes 0.5 to 2 seconds per gigabyte and core.
_SHOWN_FROM = 1 << 30  # bytes whose check takes long enough to show progress
_NAMED = 3  # number of shards that a message names


def check(
  directory: epath.PathLike, index: Index, cache: epath.PathLike
) -> None:
  """Checks the SHA-256 of every shard that is not remembered as checked.

  Args:
    directory: Local directory of the shards, all of which exist.
    index: Index of the dataset, with the shards to check.
    cache: Directory for what is remembered if `directory` is read-only.

  Raises:
    DataError: If a shard is not the one that the index names; says how many,
      and what the first of them are instead.
  """
  folder = os.path.abspath(os.fspath(directory))
  key = hashlib.sha256(folder.encode(errors="surrogateescape")).hexdigest()
  in_cache = os.path.join(epath.Path(cache).expanduser(), f"checked-{key}.json")
  places = (os.path.join(folder, REMEMBERED), in_cache)
  known: dict[str, Any] = {}
  for place in places:
    known |= _read(place)
  states = {
    shard.name: [shard.sha256, *_state(os.path.join(folder, shard.name))]
    for shard in index.shards
  }
  unknown = [s for s in index.shards if known.get(s.name) != states[s.name]]
  if not unknown:
    return
  sums = _sums(folder, unknown)
  wrong = [shard for shard in unknown if sums[shard.name] != shard.sha256]
  right = {k: v for k, v in states.items() if k not in _names(wrong)}
  # Meanwhile, other hosts have perhaps checked the shards of their lanes.
  _remember(places, {**_read(places[0]), **known, **right})
  if wrong:
    owners = {shard.sha256: shard.name for shard in index.shards}
    named = [
      f"{shard.name} "
      + (f"is {owner}" if (owner := owners.get(sums[shard.name])) else "is not")
      for shard in wrong[:_NAMED]
    ]
    more = f", … ({len(wrong)})" if len(wrong) > _NAMED else ""
    raise DataError(
      f"{folder}: shards are not what {INDEX} says, by their SHA-256: "
      f"{', '.join(named)}{more}; delete them, and they are made again by "
      "`python -m hdc_jax.prepare`, or copied again out of a bucket"
    )


def _names(shards: Sequence[Shard]) -> set[str]:
  return {shard.name for shard in shards}


def _state(path: str) -> list[int]:
  """What changes if a file is written again, or replaced by another."""
  status = os.stat(path)
  return [status.st_size, status.st_mtime_ns, status.st_ino]


def _read(path: str) -> dict[str, Any]:
  """What is remembered in a file; nothing if it cannot be read."""
  try:
    with open(path, encoding="utf-8") as file:
      content = json.load(file)
  except (OSError, ValueError, RecursionError):
    return {}
  return content if isinstance(content, dict) else {}


def _remember(places: Sequence[str], states: Mapping[str, Any]) -> None:
  """Writes what is known in the first place that can be written to.

  Nothing depends on it: where no place can, shards are checked again.
  """
  for place in places:
    try:
      files.write_json(place, states)
      return
    except OSError:
      continue


def _sums(folder: str, shards: Sequence[Shard]) -> dict[str, str]:
  """The SHA-256 of each of several shards, several at a time."""
  total = sum(shard.bytes for shard in shards)
  shown = total >= _SHOWN_FROM

  def read(shard: Shard) -> tuple[str, str]:
    path = os.path.join(folder, shard.name)
    return shard.name, shard.of_file(path).sha256

  with (
    concurrent.futures.ThreadPoolExecutor(_THREADS) as pool,
    Progress(len(shards), "shards", f"checking {folder}", shown=shown) as bar,
  ):
    sums = {}
    for name, found in pool.map(read, shards):
      sums[name] = found
      bar.update()
  return sums
