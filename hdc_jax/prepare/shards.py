"""Shards of a dataset in the making, one at a time and resumable.

What was asked (the settings and the list of videos) is cut into shards before
anything is read. Each shard has a key, a digest of the settings and of its own
videos. When a shard is complete, a sidecar JSON with its key and counts is
written beside it: a rerun keeps the shards whose sidecar has the right key, and
makes the others. The bytes of a shard depend on nothing but what its key
covers, so it does not matter who makes it, or when.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from array_record.python.array_record_module import ArrayRecordWriter
from etils import epath

from hdc_jax.data.datasets.base import Listing, VideoFile
from hdc_jax.data.store import index as index_lib
from hdc_jax.data.store import records
from hdc_jax.data.store.index import Index, Shard
from hdc_jax.data.store.records import Record
from hdc_jax.errors import DataError
from hdc_jax.runtime import files

VIDEOS_PER_SHARD = 256  # by default: some 100 MB of ten-second videos
MAX_SHARDS = 1024  # by default
# What is of no use once a dataset is made, unless its index names it.
_LEFT = re.compile(
  r"shard-\d{5}-of-\d{5}\.array_record|\.shard-.*\.tmp|\.unfinished"
)
_READERS = 16  # sidecars in a bucket are read so many at a time

Ranges = list[tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Skipped:
  """A video that could not be used.

  Attributes:
    id: of the video.
    reason: why not, naming the file.
  """

  id: str
  reason: str


@dataclasses.dataclass(frozen=True)
class Plan:
  """One shard, before it is made.

  Attributes:
    name: of its file.
    files: the videos to put there, in order.
    key: digest of everything its bytes depend on.
  """

  name: str
  files: Sequence[VideoFile]
  key: str

  def to_json(self) -> bytes:
    """Serializes the plan, in one line."""
    return json.dumps(dataclasses.asdict(self)).encode() + b"\n"

  @classmethod
  def from_json(cls, line: bytes) -> "Plan":
    """Reads what `to_json` wrote."""
    fields = json.loads(line)
    videos = [VideoFile(**file) for file in fields["files"]]
    return cls(fields["name"], videos, fields["key"])


@dataclasses.dataclass(frozen=True)
class Sidecar:
  """What is known of a finished shard.

  Attributes:
    key: of its plan.
    shard: the file.
    num_frames: of its videos together.
    splits: ranges of its records, counted from its first, of each split.
    classes: for each label, the number of videos that show each class.
    skipped: videos of the plan that are not in it.
  """

  key: str
  shard: Shard
  num_frames: int
  splits: Mapping[str, Ranges]
  classes: Mapping[str, Mapping[str, int]]
  skipped: Sequence[Skipped]


def plan(
  listing: Listing, settings: Mapping[str, Any], num_shards: int | None
) -> list[Plan]:
  """Cuts a listing into shards of about equal length.

  Args:
    listing: the videos.
    settings: whatever else the records depend on; of JSON types.
    num_shards: how many, by default one for `VIDEOS_PER_SHARD`.

  Returns:
    The shards, in order.
  """
  videos = listing.videos
  if num_shards is None:
    num_shards = min(-(-len(videos) // VIDEOS_PER_SHARD), MAX_SHARDS)
  num_shards = max(1, min(num_shards, len(videos)))
  bounds = [len(videos) * i // num_shards for i in range(num_shards + 1)]
  plans = []
  # Of the files too: a video that was repaired is prepared again.
  sizes = files.sizes([video.path for video in videos])
  for i, (start, stop) in enumerate(itertools.pairwise(bounds)):
    part = videos[start:stop]
    key = index_lib.digest(
      [
        records.VERSION,
        settings,
        listing.label_names,
        [
          [file.id, file.labels, file.splits, size]
          for file, size in zip(part, sizes[start:stop], strict=True)
        ],
      ]
    )
    name = f"shard-{i:05d}-of-{num_shards:05d}.array_record"
    plans.append(Plan(name, part, key))
  return plans


def write(
  directory: epath.Path, shard: Plan, results: Iterable[bytes | Skipped]
) -> Sidecar:
  """Makes a shard; it is there whole or not at all.

  Args:
    directory: of the dataset.
    shard: what to make.
    results: one for each file of the plan, in order: a record or the reason
      why there is none.

  Returns:
    The sidecar, also written beside the shard.
  """
  path = directory / shard.name
  splits: dict[str, Ranges] = collections.defaultdict(list)
  classes: dict[str, collections.Counter] = collections.defaultdict(
    collections.Counter
  )
  videos, num_frames, skipped = 0, 0, []
  with files.writing(path) as local:
    writer = ArrayRecordWriter(local, records.WRITER_OPTIONS)
    for file, result in zip(shard.files, results, strict=True):
      if isinstance(result, Skipped):
        skipped.append(result)
        continue
      with _writing(path):
        writer.write(result)
      for split in file.splits:
        _extend(splits[split], videos, videos + 1)
      for label, segments in file.labels.items():
        classes[label].update(sorted({str(n) for _, n in segments}))
      num_frames += Record.from_bytes(result).encoded.num_frames
      videos += 1
    with _writing(path):
      writer.close()
    made = Shard.from_file(local, shard.name, videos)
  sidecar = Sidecar(
    key=shard.key,
    shard=made,
    num_frames=num_frames,
    splits=dict(splits),
    classes={label: dict(counts) for label, counts in classes.items()},
    skipped=skipped,
  )
  files.write_json(sidecar_of(path), dataclasses.asdict(sidecar))
  return sidecar


def finished(
  directory: epath.Path, plans: Sequence[Plan]
) -> list[Sidecar | None]:
  """The sidecars of shards, None of those that have to be made.

  Args:
    directory: of the dataset.
    plans: of the shards.

  Returns:
    One for each plan.
  """
  paths = [directory / shard.name for shard in plans]
  sizes = files.sizes([os.fspath(path) for path in paths])
  with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
    return list(pool.map(_finished, plans, paths, sizes))


def _finished(
  shard: Plan, path: epath.Path, size: int | None
) -> Sidecar | None:
  if size is None:
    return None
  try:
    fields = json.loads(files.read_text(sidecar_of(path)))
    fields["shard"] = Shard(**fields["shard"])
    fields["skipped"] = [Skipped(**skipped) for skipped in fields["skipped"]]
    sidecar = Sidecar(**fields)
  except (FileNotFoundError, ValueError, KeyError, TypeError):
    return None
  whole = sidecar.key == shard.key and sidecar.shard.bytes == size
  return sidecar if whole else None


def request_digest(plans: Sequence[Plan], listing: Listing) -> str:
  """What was asked of `prepare`, hashed; see `Index.request`."""
  return index_lib.digest(
    [
      [[shard.name, shard.key] for shard in plans],
      listing.official,
      listing.left_out,
    ]
  )


def combine(
  sidecars: Sequence[Sidecar],
  *,
  request: str,
  codec: str,
  short_side: int,
  listing: Listing,
) -> Index:
  """Makes the index of a dataset of which every shard is finished.

  Args:
    sidecars: of all shards, in order.
    request: see `request_digest`.
    codec: of the records.
    short_side: of the frames.
    listing: of which the shards were made.

  Returns:
    The index.
  """
  splits: dict[str, Ranges] = collections.defaultdict(list)
  first = 0
  for sidecar in sidecars:
    for split, ranges in sidecar.splits.items():
      for start, stop in ranges:
        _extend(splits[split], first + start, first + stop)
    first += sidecar.shard.videos
  skipped = [s for sidecar in sidecars for s in sidecar.skipped]
  labels = {name: list(names) for name, names in listing.label_names.items()}
  return Index(
    fingerprint=index_lib.digest(
      [
        records.VERSION,
        [sidecar.shard.sha256 for sidecar in sidecars],
        labels,
        splits,
      ]
    ),
    request=request,
    codec=codec,
    short_side=short_side,
    num_videos=first,
    num_frames=sum(sidecar.num_frames for sidecar in sidecars),
    labels=labels,
    splits=dict(splits),
    shards=[sidecar.shard for sidecar in sidecars],
    skipped=[dataclasses.asdict(s) for s in skipped],
    official=listing.official,
    left_out={why: len(which) for why, which in listing.left_out.items()},
  )


def remove_others(directory: epath.Path, index: Index) -> None:
  """Removes shards that an earlier request left and the index does not name."""
  names = {shard.name for shard in index.shards}
  for name in files.list_names(directory):
    if _LEFT.fullmatch(name) and name not in names:
      files.remove(directory / name)
      files.remove(sidecar_of(directory / name))


def sidecar_of(path: epath.Path) -> epath.Path:
  """Where the sidecar of a shard lies."""
  return path.with_suffix(".json")


@contextlib.contextmanager
def _writing(path: epath.Path) -> Iterator[None]:
  """Turns what ArrayRecord raises into a `DataError` on a shard."""
  try:
    yield
  except RuntimeError as error:
    raise DataError(f"{path}: cannot be written: {error}") from error


def _extend(ranges: Ranges, start: int, stop: int) -> None:
  """Adds a range behind the others, to the last one if it continues it."""
  if ranges and ranges[-1][1] == start:
    start = ranges.pop()[0]
  ranges.append((start, stop))
