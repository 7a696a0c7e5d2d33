"""The order of the videos and of their clips, which only the step decides.

In training, the videos form an endless sequence, which is shuffled anew in each
epoch. Global batch `s` holds the B videos from position `s·B` on, and what is
random in a clip depends on the seed and on the position alone. Neither depends
on the number of hosts, worker processes or restarts. So the number of steps
taken is all that has to be saved of the data's state.

A batch holds no video twice, because a video would be its own negative. Choice:
an epoch of N videos has ⌊N/B⌋ batches, and leaves out the last N mod B videos
of its order, which are others in each epoch. A video that cannot be decoded is
replaced by the video B positions on in the order of the epoch, and that one in
turn by the next: no other video of the batch has the same replacement.

All this is true of each dataset of a mixture, and of each lane (see `lanes`),
with B for its share of a batch.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import grain
import numpy as np

from hdc_jax.data import lanes as lanes_lib
from hdc_jax.data import mixtures
from hdc_jax.data.clips import training_clips
from hdc_jax.data.store.index import Index
from hdc_jax.errors import ConfigError

# Number of videos to try for one element of a batch before giving up.
_ATTEMPTS = 8


def check_batch_size(batch_size: int, videos: int, split: str) -> None:
  """Checks that a batch can be filled without repeating a video.

  Args:
    batch_size: Videos in a global batch.
    videos: Number of videos to learn from.
    split: What has these videos, for the message.

  Raises:
    ConfigError: If a batch is larger; the message names the largest.
  """
  if batch_size > videos:
    raise ConfigError(
      f"config.data.batch_size={batch_size} is too large for the {videos:,} "
      f"video{'s' * (videos != 1)} of {split}, as a batch holds no video "
      f"twice: use at most {videos}"
    )


def check_batches(
  batch_size: int, index: Index, split: str, lanes: int = 1
) -> None:
  """Checks that batches can be filled from a split without repeating a video.

  Args:
    batch_size: Videos in a global batch.
    index: The index of the dataset, or of a mixture.
    split: Name of the split.
    lanes: Number of lanes.

  Raises:
    ConfigError: If a batch is larger; if a dataset, or a lane of it, has fewer
      videos than its share of a batch; or if a lane has no shard.
  """
  pools = lanes_lib.pools(index, index.split(split), lanes)
  _sizes(batch_size, pools, lanes, split)


def _sizes(
  batch_size: int, pools: Sequence[mixtures.Pool], lanes: int, split: str = ""
) -> list[int]:
  """How many videos of a batch are of each pool, which has so many.

  Raises:
    ConfigError: See `check_batches`.
  """
  if len(pools) == 1:
    what = f"split {split!r}" if split else "the dataset"
    check_batch_size(batch_size, len(pools[0].records), what)
  sizes = lanes_lib.sizes(batch_size, pools, lanes)
  for pool, size in zip(pools, sizes, strict=True):
    if size > len(pool.records):
      which = f"whose split {split!r}" if split else "which"
      other = "config.data.lanes" if lanes > 1 else "the weight of this dataset"
      raise ConfigError(
        f"config.data.batch_size={batch_size} is too large: {size} videos of "
        f"each batch would be of {pool.name}, {which} has "
        f"{len(pool.records):,}, and a batch holds no video twice: lower it, "
        f"or {other}"
      )
  return sizes


class _Share(NamedTuple):
  """The part of every batch that is of one dataset and lane.

  Attributes:
    first: Place in the batch of its first video.
    size: Videos in the part.
    order: Its record numbers in the order of its epochs, each of all N videos.
  """

  first: int
  size: int
  order: grain.MapDataset


@dataclasses.dataclass(frozen=True)
class _Candidates(grain.transforms.MapWithIndex):
  """Finds the video at a position, and those that may take its place.

  Attributes:
    batch_size: Videos in a global batch.
    shares: The parts of a global batch, in order; at least those of this
      process.
  """

  batch_size: int
  shares: Sequence[_Share]

  # Grain does not annotate what is overridden here.
  # pyrefly: ignore[bad-override]
  def map_with_index(self, index: int, element: Any) -> Iterator[Any]:
    """Finds the candidates of one element of a batch.

    Args:
      index: Position in the endless sequence of videos.
      element: Not used.

    Returns:
      1 to 8 record numbers: that of the video, and those of its replacements in
      turn, which are found only if they are asked for. No two elements of a
      batch have a candidate in common.
    """
    del element
    batch, place = divmod(index, self.batch_size)
    after = bisect.bisect_right(self.shares, place, key=lambda s: s.first)
    first, size, order = self.shares[after - 1]
    videos = len(order)
    epoch, batch = divmod(batch, videos // size)
    # Offsets from the first video of the part: those of different elements
    # differ by less than a turn, so that they are different videos.
    offsets = range(place - first, videos, size)[:_ATTEMPTS]
    slots = [(batch * size + offset) % videos for offset in offsets]
    return (order[epoch * videos + slot] for slot in slots)


class _Local(grain.MapDataset):
  """The videos of one process: a contiguous part of each global batch.

  They keep their positions in the endless sequence, on which depends what is
  random in their clips.
  """

  def __init__(
    self, videos: grain.MapDataset, batch_size: int, size: int, first: int
  ) -> None:
    """Selects the videos.

    Args:
      videos: The videos of all processes, by position.
      batch_size: Videos in a global batch.
      size: Videos of this process in a global batch.
      first: Position of the first of them.
    """
    super().__init__(videos)
    self._batch_size, self._size, self._first = batch_size, size, first

  def __len__(self) -> int:
    videos = len(self._parent) - self._first
    return videos // self._batch_size * self._size

  # Grain does not annotate what is overridden here.
  # pyrefly: ignore[bad-override]
  def __getitem__(self, index: int | slice) -> Any:
    if isinstance(index, slice):
      return self.slice(index)
    batch, place = divmod(index, self._size)
    return self._parent[self._first + batch * self._batch_size + place]


def training_elements(
  cut: training_clips.CutClips,
  *,
  batch_size: int,
  seed: int,
  first_step: int,
  process_index: int,
  process_count: int,
  lanes: int = 1,
) -> Callable[[grain.transforms.RandomMap], grain.MapDataset]:
  """Finds the endless sequence of the videos that one process learns from.

  Args:
    cut: Cuts the clips out of each video.
    batch_size: Videos in a global batch.
    seed: Seed of the order of the videos and of the clips cut from them.
    first_step: Number of global batches to skip: the steps already taken.
    process_index: Number of this process, which has one contiguous part of each
      global batch.
    process_count: Number of processes.
    lanes: Number of lanes, which divides the batch.

  Returns:
    A function that makes elements of them, as `cut` does. A transform gets the
    record numbers of a video and of its replacements, and random numbers that
    are the same for all transforms.

  Raises:
    ConfigError: If a batch has more videos than there are.
  """
  size = batch_size // process_count
  begin = process_index * size
  pools = lanes_lib.pools(cut.source.index, cut.records, lanes)
  sizes = _sizes(batch_size, pools, lanes)
  firsts = itertools.accumulate(sizes[:-1], initial=0)
  shares = [
    _Share(
      first, share, record_numbers(pool.records).seed(seed + number).shuffle()
    )
    for number, (first, share, pool) in enumerate(
      zip(firsts, sizes, pools, strict=True)
    )
    # A process needs no others, which may be as large as all record numbers.
    if first < begin + size and begin < first + share
  ]
  candidates = (
    grain.MapDataset.range(len(cut.records) // batch_size * batch_size)
    .seed(seed)
    .repeat()
    .map_with_index(_Candidates(batch_size, shares))
  )
  first = first_step * batch_size + begin
  return lambda transform: _Local(
    candidates.random_map(transform), batch_size, size, first
  )


def training_videos(
  cut: training_clips.CutClips, **order: Any
) -> grain.MapDataset:
  """The clips of the endless sequence of videos that one process learns from.

  Args:
    cut: Cuts the clips out of each video.
    **order: See `training_elements`.

  Returns:
    The clips of each video, see `CutClips.random_map`. A batch of this process
    has `batch_size / process_count` of them.

  Raises:
    ConfigError: If a batch has more videos than there are.
  """
  return training_elements(cut, **order)(cut)


def record_numbers(records: np.ndarray) -> grain.MapDataset:
  """A dataset of record numbers, to be mapped to clips or labels.

  Args:
    records: Record numbers, int64 [N].
  """
  # Grain needs only an object with a length and items.
  return grain.MapDataset.source(cast(Sequence[int], records))
