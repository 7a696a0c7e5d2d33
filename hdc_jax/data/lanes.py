"""Lanes: equal parts of every batch, each of which has shards of its own.

By default each batch is drawn from all videos, and so every host needs all of
the dataset. With L lanes, a batch has L equal contiguous parts, and lane l is
drawn from the shards i with i mod L = l alone, in an order and epochs of its
own. A host has the same lanes in every batch, so that it needs their shards and
no others. Whichever host has a lane, its videos are the same.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hdc_jax.data import mixtures
from hdc_jax.data.mixtures import Pool
from hdc_jax.data.store.index import Index
from hdc_jax.errors import ConfigError

_FIELD = "config.data.lanes"
# Lanes whose numbers of videos differ by more than this are mentioned.
_UNEVEN = 1.1


def check_size(lanes: int, batch_size: int) -> None:
  """Checks that lanes are equal parts of a batch.

  Args:
    lanes: Number of lanes.
    batch_size: Videos in a global batch.

  Raises:
    ConfigError: If they are not; names the nearest numbers that are.

  Example:
    >>> check_size(4, batch_size=12)
    >>> check_size(5, batch_size=12)
    Traceback (most recent call last):
      ...
    hdc_jax.errors.ConfigError: config.data.lanes=5 does not divide \
config.data.batch_size=12: use 4 or 6
  """
  if batch_size % lanes:
    _raise(
      lanes,
      f"does not divide config.data.batch_size={batch_size}",
      [n for n in range(1, batch_size + 1) if batch_size % n == 0],
    )


def check_processes(lanes: int, batch_size: int, processes: int) -> None:
  """Checks that processes can share the lanes.

  Args:
    lanes: Number of lanes; one is shared by all processes.
    batch_size: Videos in a global batch.
    processes: Number of processes.

  Raises:
    ConfigError: If a process would have part of a lane; names the nearest
      numbers of lanes that can be shared.

  Example:
    >>> check_processes(4, 64, processes=2)
    >>> check_processes(4, 64, processes=8)
    Traceback (most recent call last):
      ...
    hdc_jax.errors.ConfigError: config.data.lanes=4 do not split over 8 \
processes: use 1 or 8
  """
  if lanes > 1 and lanes % processes:
    _raise(
      lanes,
      f"do not split over {processes} processes",
      [1]
      + [
        n
        for n in range(processes, batch_size + 1, processes)
        if batch_size % n == 0
      ],
    )


def _raise(lanes: int, fault: str, fitting: Sequence[int]) -> None:
  """Raises an error that names the nearest numbers of lanes that fit."""
  lower = [n for n in fitting if n < lanes][-1:]
  upper = [n for n in fitting if n > lanes][:1]
  nearest = " or ".join(map(str, lower + upper))
  raise ConfigError(f"{_FIELD}={lanes} {fault}: use {nearest}")


def pools(index: Index, records: np.ndarray, lanes: int) -> list[Pool]:
  """Divides record numbers by lanes, and in a lane by datasets.

  Args:
    index: The index of a dataset or a mixture.
    records: Record numbers, increasing; int64 [N].
    lanes: Number of lanes.

  Returns:
    A pool for each dataset of the first lane, then of the next.

  Raises:
    ConfigError: If a dataset has fewer shards than there are lanes.
  """
  datasets = mixtures.pools(index, records)
  if lanes == 1:
    return datasets
  found: list[list[Pool]] = [[] for _ in range(lanes)]
  first = 0
  for pool, one in zip(datasets, mixtures.indices(index), strict=True):
    if len(one.shards) < lanes:
      raise ConfigError(
        f"{_FIELD}={lanes}: each lane needs shards of its own, of which "
        f"{pool.name} has {len(one.shards)}: use fewer lanes, or prepare with "
        f"--shards={lanes} or more"
      )
    ends = first + np.cumsum([shard.videos for shard in one.shards])
    parts = np.split(pool.records, np.searchsorted(pool.records, ends[:-1]))
    for lane in range(lanes):
      name = f"lane {lane} of {pool.name}"
      held = np.concatenate(parts[lane::lanes])
      found[lane].append(Pool(name, pool.weight, held))
    first = int(ends[-1])
  return [pool for lane in found for pool in lane]


def sizes(batch_size: int, pools: Sequence[Pool], lanes: int) -> list[int]:
  """How many videos of a batch are of each pool.

  Args:
    batch_size: Videos in a global batch.
    pools: The pools of `pools`.
    lanes: Number of lanes, in all of which datasets have the same shares.

  Raises:
    ConfigError: If a lane has fewer videos of a batch than there are datasets.
  """
  weights = [pool.weight for pool in pools[: len(pools) // lanes]]
  if batch_size < len(pools) and lanes > 1:
    raise ConfigError(
      f"{_FIELD}={lanes}: a lane has {batch_size // lanes} videos of each "
      f"batch, too few for the {len(weights)} datasets of config.data.path: "
      "use fewer lanes, or a larger config.data.batch_size"
    )
  return mixtures.shares(batch_size // lanes, weights) * lanes


class Share(NamedTuple):
  """What a process has of the batches.

  Attributes:
    lanes: Number of lanes; of one, every process needs all shards.
    process_index: Number of the process.
    process_count: Number of processes, which divides the lanes.
  """

  lanes: int = 1
  process_index: int = 0
  process_count: int = 1

  def needs(self, shards: int) -> list[bool]:
    """Which shards of a dataset the process needs.

    Args:
      shards: Number of shards of the dataset.

    Example:
      >>> Share(lanes=4, process_index=1, process_count=2).needs(6)
      [False, False, True, True, False, False]
    """
    if self.lanes == 1:
      return [True] * shards
    held = self.lanes // self.process_count
    return [i % self.lanes // held == self.process_index for i in range(shards)]


ALL = Share()


def describe(index: Index, records: np.ndarray, lanes: int) -> str:
  """Says what lanes draw from; '' for one lane.

  Args:
    index: The index of a dataset or a mixture.
    records: Record numbers of the videos to learn from, increasing; int64 [N].
    lanes: Number of lanes.

  Raises:
    ConfigError: See `pools`.
  """
  if lanes == 1:
    return ""
  by_lane = pools(index, records, lanes)
  count = len(by_lane) // lanes
  said = f"{lanes} lanes, each of its own shards"
  for dataset in range(count):
    videos = [len(pool.records) for pool in by_lane[dataset::count]]
    low, high = min(videos), max(videos)
    if high > _UNEVEN * max(low, 1):
      name = by_lane[dataset].name.partition(" of ")[2]
      said += (
        f"; of {name} they have {low:,} to {high:,} videos, so that some are "
        "seen more often than others: prepare with a number of --shards that "
        "lanes divide"
      )
  return said
