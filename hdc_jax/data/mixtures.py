"""Several datasets as one, of which every batch has fixed shares.

`/data/k400:0.7,/data/ssv2:0.3` names a mixture: of the videos of every batch,
seven tenths are of the first dataset. Each dataset has an order and epochs of
its own, so that a small one is seen more often than a large one.

Choice: the shares are whole numbers of videos, the same in every batch. So what
is true of a dataset is true of each part of a mixture: its order is a function
of the step, it has its place in the batch, and no video is in a batch twice.
"""

import dataclasses
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from etils import epath

from hdc_jax.data.store.index import Index
from hdc_jax.errors import ConfigError

_FIELD = "config.data.path"
_PART = re.compile(r"(?P<path>.+):(?P<weight>\d+\.?\d*|\.\d+)")


class Part(NamedTuple):
  """A dataset of a mixture.

  Attributes:
    path: Where it is.
    weight: What share of a batch it has, relative to the other weights.
  """

  path: str
  weight: float


class Pool(NamedTuple):
  """Videos of which every batch has the same number.

  Attributes:
    name: What they are, for messages.
    weight: What share of a batch they have, relative to other pools.
    records: Their record numbers, int64 [N].
  """

  name: str
  weight: float
  records: np.ndarray


def parse(path: epath.PathLike) -> list[Part]:
  """Reads the datasets and weights of a mixture.

  Args:
    path: The name of a dataset, or of several with weights.

  Returns:
    The parts; none for one dataset.

  Raises:
    ConfigError: If a weight is missing or 0, or a dataset is named twice.

  Example:
    >>> parse("/data/k400:0.7,gs://b/ssv2:0.3")[1]
    Part(path='gs://b/ssv2', weight=0.3)
    >>> parse("gs://b/ssv2")
    []
  """
  names = os.fspath(path).split(",")
  found = [_PART.fullmatch(name.strip()) for name in names]
  if len(names) == 1 or not any(found):
    return []
  parts: list[Part] = []
  for name, match in zip(names, found, strict=True):
    if match is None:
      raise ConfigError(
        f"{_FIELD}: {name!r} of the mixture has no weight: write "
        "DATASET:WEIGHT,DATASET:WEIGHT"
      )
    part = Part(match["path"], float(match["weight"]))
    if not 0 < part.weight < math.inf:
      raise ConfigError(f"{_FIELD}: the weight of {part.path} must be above 0")
    if part.path in [other.path for other in parts]:
      raise ConfigError(
        f"{_FIELD} names {part.path} twice: a batch may hold no video twice"
      )
    parts.append(part)
  return parts


@dataclasses.dataclass(frozen=True)
class MixedIndex(Index):
  """What the datasets of a mixture hold together.

  Record numbers are those of the first dataset, followed by those of the next.

  Attributes:
    parts: The datasets.
    indices: Their indices.
  """

  parts: Sequence[Part] = ()
  indices: Sequence[Index] = ()


def join(parts: Sequence[Part], indices: Sequence[Index]) -> MixedIndex:
  """Joins the indices of datasets.

  Args:
    parts: The datasets.
    indices: Their indices.

  Returns:
    What they hold together. Splits, labels and tags are those that all have,
    with the same classes.

  Raises:
    ConfigError: If frames have different short sides, or if two datasets are
      the same.
  """
  first, *others = indices
  for part, index in zip(parts[1:], others, strict=True):
    if index.short_side != first.short_side:
      raise ConfigError(
        f"{_FIELD}: the frames of {parts[0].path} have a short side of "
        f"{first.short_side} pixels, and those of {part.path} one of "
        f"{index.short_side}: prepare both with the same --short_side"
      )
  seen: dict[str, str] = {}
  for part, index in zip(parts, indices, strict=True):
    if (other := seen.setdefault(index.fingerprint, part.path)) != part.path:
      raise ConfigError(
        f"{_FIELD}: {other} and {part.path} hold the same dataset: a batch may "
        "hold no video twice"
      )
  content = [
    (index.fingerprint, part.weight)
    for part, index in zip(parts, indices, strict=True)
  ]
  frames = [i.num_frames for i in indices if i.num_frames is not None]
  codecs = sorted({index.codec for index in indices})
  return MixedIndex(
    fingerprint=hashlib.sha256(json.dumps(content).encode()).hexdigest(),
    request="",
    codec=" and ".join(codecs),
    short_side=first.short_side,
    num_videos=sum(index.num_videos for index in indices),
    num_frames=sum(frames) if len(frames) == len(indices) else None,
    labels=_shared([index.labels for index in indices]),
    splits=_splits(indices),
    shards=[shard for index in indices for shard in index.shards],
    skipped=[skipped for index in indices for skipped in index.skipped],
    tags=_shared([index.tags for index in indices]),
    groups=sum(index.groups for index in indices),
    parts=parts,
    indices=indices,
  )


def read_index(path: epath.PathLike, read: Callable[[str], Index]) -> Index:
  """Reads what a dataset or a mixture holds.

  Args:
    path: The name of a dataset, or of several with weights.
    read: Reads the index of one dataset.

  Raises:
    ConfigError: See `parse` and `join`.
  """
  parts = parse(path)
  if not parts:
    return read(os.fspath(path))
  return join(parts, [read(part.path) for part in parts])


def _shared(
  classes: Sequence[Mapping[str, Sequence[str]]],
) -> dict[str, Sequence[str]]:
  """The labels or tags that have the same classes in all datasets."""
  first, *others = classes
  return {
    name: names
    for name, names in first.items()
    if all(list(other.get(name, ())) == list(names) for other in others)
  }


def _splits(indices: Sequence[Index]) -> dict[str, list[tuple[int, int]]]:
  """The splits that all datasets have, in the numbers of the mixture."""
  names = set.intersection(*(set(index.splits) for index in indices))
  firsts = np.cumsum([0, *(index.num_videos for index in indices)]).tolist()
  return {
    name: [
      (first + start, first + stop)
      for first, index in zip(firsts, indices, strict=False)
      for start, stop in index.splits[name]
    ]
    for name in sorted(names)
  }


def paths(path: epath.PathLike) -> list[str]:
  """The datasets that a path names.

  Args:
    path: The name of a dataset or a mixture.

  Raises:
    ConfigError: See `parse`.
  """
  return [part.path for part in parse(path)] or [os.fspath(path)]


def indices(index: Index) -> list[Index]:
  """The index of each dataset.

  Args:
    index: The index of a dataset or a mixture.
  """
  return list(index.indices) if isinstance(index, MixedIndex) else [index]


def pools(index: Index, records: np.ndarray) -> list[Pool]:
  """Divides record numbers by the datasets of a mixture.

  Args:
    index: The index of a dataset or a mixture.
    records: Record numbers, int64 [N].

  Returns:
    One pool for each dataset.
  """
  if not isinstance(index, MixedIndex):
    return [Pool("the dataset", 1.0, records)]
  ends = np.cumsum([one.num_videos for one in index.indices])
  numbers = np.searchsorted(ends, records, side="right")
  return [
    Pool(part.path, part.weight, records[numbers == number])
    for number, part in enumerate(index.parts)
  ]


def shares(batch_size: int, weights: Sequence[float]) -> list[int]:
  """How many videos of a batch are of each pool.

  They are rounded by largest remainder, to at least one.

  Args:
    batch_size: Videos in a batch.
    weights: Weights of the pools.

  Raises:
    ConfigError: If there are more pools than videos in a batch.

  Example:
    >>> shares(32, [0.7, 0.3])
    [22, 10]
  """
  if batch_size < len(weights):
    raise ConfigError(
      f"config.data.batch_size={batch_size} is too small for the "
      f"{len(weights)} datasets of config.data.path: each has a share of "
      "every batch"
    )
  exact = np.array(weights, float) / sum(weights) * batch_size
  counts = np.maximum(np.floor(exact), 1).astype(int)
  while counts.sum() != batch_size:
    missing = 1 if counts.sum() < batch_size else -1
    allowed = np.where(
      counts + missing >= 1, missing * (exact - counts), -np.inf
    )
    counts[np.argmax(allowed)] += missing
  return counts.tolist()


def describe(index: Index, batch_size: int, times: int = 1) -> str:
  """Says what every batch holds; '' for one dataset.

  Args:
    index: The index of a dataset or a mixture.
    batch_size: Videos in a batch, or in one of several equal parts of it.
    times: Number of these parts.

  Raises:
    ConfigError: See `shares`.
  """
  if not isinstance(index, MixedIndex):
    return ""
  counts = shares(batch_size, [part.weight for part in index.parts])
  held = ", ".join(
    f"{count * times} of {part.path}"
    for count, part in zip(counts, index.parts, strict=True)
  )
  return f"each batch of {batch_size * times} videos has {held}"
