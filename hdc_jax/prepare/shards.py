"""The shards of a dataset: planned, written one at a time, and resumable.

The list of videos is cut into shards before any video is read. Each shard has a
key, a digest of the settings and of its own videos. When a shard is complete, a
sidecar JSON with its key and counts is written beside it: a rerun keeps the
shards whose sidecar has the right key, and makes the others. The bytes of a
shard depend on nothing but what its key covers, so it does not matter who makes
it, or when.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from array_record.python.array_record_module import ArrayRecordWriter
from etils import epath

from hdc_jax.data.datasets.base import Listing, VideoFile
from hdc_jax.data.store import index as index_lib
from hdc_jax.data.store import kinds, records
from hdc_jax.data.store.index import Shard
from hdc_jax.data.store.index_fields import OF_SHARD
from hdc_jax.data.store.records import Record
from hdc_jax.data.video.originals import Picture
from hdc_jax.errors import DataError
from hdc_jax.runtime import files

VIDEOS_PER_SHARD = 256  # by default: some 100 MB of ten-second videos
MAX_SHARDS = 1024  # by default
_READERS = 16  # how many sidecars are read from a bucket at a time

Ranges = list[tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Skipped:
  """A video that could not be used.

  Attributes:
    id: Id of the video.
    reason: Why it could not be used, with the name of the file.
  """

  id: str
  reason: str


@dataclasses.dataclass(frozen=True)
class Prepared:
  """A file that could be used.

  Attributes:
    videos: For each video that is made of it, the record, in which the number
      of the first chunk is 0, and its chunks, serialized.
    picture: What its frames looked like in the file.
  """

  videos: Sequence[tuple[Record, Sequence[bytes]]]
  picture: Picture


@dataclasses.dataclass(frozen=True)
class Plan:
  """A shard that is to be made.

  Attributes:
    name: Name of its file.
    files: Files of the videos that it holds, in order.
    key: Digest of everything that its bytes depend on.
  """

  name: str
  files: Sequence[VideoFile]
  key: str

  def to_json(self) -> bytes:
    """Serializes the plan as one line of JSON."""
    return json.dumps(dataclasses.asdict(self)).encode() + b"\n"

  @classmethod
  def from_json(cls, line: bytes) -> "Plan":
    """Reads what `to_json` wrote."""
    fields = json.loads(line)
    videos = [VideoFile(**file) for file in fields["files"]]
    return cls(fields["name"], videos, fields["key"])


@dataclasses.dataclass(frozen=True)
class Sidecar:
  """A finished shard, as the file beside it describes it.

  Attributes:
    key: Key of its plan.
    shard: Its entry in the index.
    num_frames: Number of frames of its videos together.
    splits: Ranges of its records in each split, counted from its first record.
    classes: Number of videos that show each class, by label and class number.
    skipped: Videos of the plan that are not in it.
    originals: Columns with a value for each of its videos, in order: `fps`,
      the number of `frames`, and `width`, `height` and `interlaced` of its
      `Picture`.
  """

  key: str
  shard: Shard
  num_frames: int
  splits: Mapping[str, Ranges]
  classes: Mapping[str, Mapping[str, int]]
  skipped: Sequence[Skipped]
  originals: Mapping[str, Sequence[float]]


def plan(
  listing: Listing, settings: Mapping[str, Any], num_shards: int | None
) -> list[Plan]:
  """Cuts a listing into shards of about equal length.

  Args:
    listing: The videos.
    settings: Everything else that the records depend on, of JSON types.
    num_shards: Number of shards; by default one for `VIDEOS_PER_SHARD` videos.

  Returns:
    The plans of the shards, in order.
  """
  videos = listing.videos
  if num_shards is None:
    num_shards = min(-(-len(videos) // VIDEOS_PER_SHARD), MAX_SHARDS)
  num_shards = max(1, min(num_shards, len(videos)))
  bounds = [len(videos) * i // num_shards for i in range(num_shards + 1)]
  plans = []
  # Sizes are part of the keys: a video that was repaired is prepared again.
  sizes = files.sizes([video.path for video in videos])
  for i, (start, stop) in enumerate(itertools.pairwise(bounds)):
    part = videos[start:stop]
    key = index_lib.digest(
      [
        records.VERSION,
        settings,
        listing.label_names,
        *([listing.tag_names] if listing.tag_names else []),
        [
          [*file.key, size]
          for file, size in zip(part, sizes[start:stop], strict=True)
        ],
      ]
    )
    name = f"shard-{i:05d}-of-{num_shards:05d}.array_record"
    plans.append(Plan(name, part, key))
  return plans


def write(
  directory: epath.Path, shard: Plan, results: Iterable[Prepared | Skipped]
) -> Sidecar:
  """Writes a shard, whole or not at all, and its sidecar beside it.

  The chunks of all videos come first, see `shard_files`.

  Args:
    directory: Directory of the dataset.
    shard: Plan of the shard.
    results: For each file of the plan, in order, its records or the reason why
      there are none.

  Returns:
    The sidecar.

  Raises:
    DataError: If ArrayRecord cannot write the file.
    OSError, StorageError: If the disk or the bucket fails.
  """
  path = directory / shard.name
  splits: dict[str, Ranges] = collections.defaultdict(list)
  classes: dict[str, collections.Counter] = collections.defaultdict(
    collections.Counter
  )
  originals: dict[str, list[float]] = collections.defaultdict(list)
  serialized: list[bytes] = []
  chunks, skipped = 0, []
  with files.writing(path) as local:
    writer = ArrayRecordWriter(local, records.WRITER_OPTIONS)
    for file, result in zip(shard.files, results, strict=True):
      if isinstance(result, Skipped):
        skipped.append(result)
        continue
      for record, of_video in result.videos:
        with _writing(path):
          for chunk in of_video:
            writer.write(chunk)
        for split in file.splits:
          extend(splits[split], len(serialized), len(serialized) + 1)
        for label, segments in record.labels.items():
          classes[label].update(sorted({str(n) for _, n in segments}))
        record = dataclasses.replace(record, first_chunk=chunks)
        facts = {"fps": record.fps, "frames": record.num_frames}
        for name, value in (facts | result.picture._asdict()).items():
          originals[name].append(value)
        serialized.append(record.to_bytes())
        chunks += len(of_video)
    with _writing(path):
      for each in serialized:
        writer.write(each)
      writer.close()
    described = Shard.from_file(
      local, shard.name, len(serialized), chunks + len(serialized)
    )
  sidecar = Sidecar(
    key=shard.key,
    shard=described,
    num_frames=int(sum(originals["frames"])),
    splits=dict(splits),
    classes={label: dict(counts) for label, counts in classes.items()},
    skipped=skipped,
    originals=dict(originals),
  )
  files.write_json(sidecar_of(path), dataclasses.asdict(sidecar))
  return sidecar


def finished(
  directory: epath.Path, plans: Sequence[Plan]
) -> list[Sidecar | None]:
  """Reads the sidecars of the shards that are finished.

  Args:
    directory: Directory of the dataset.
    plans: Plans of the shards.

  Returns:
    For each plan, the sidecar of the shard, or None if it has to be made.
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
    if _is_damaged(fields):
      return None
    fields["shard"] = Shard(**fields["shard"])
    fields["skipped"] = [Skipped(**skipped) for skipped in fields["skipped"]]
    sidecar = Sidecar(**fields)
  except (FileNotFoundError, ValueError, RecursionError):
    return None
  whole = sidecar.key == shard.key and sidecar.shard.bytes == size
  return sidecar if whole else None


# The fields of a sidecar and of a skipped video, see `kinds`.
_FIELDS = {
  "key": str,
  "shard": {str: None},
  "num_frames": int,
  "splits": {str: [(int, int)]},
  "classes": {str: {str: int}},
  "skipped": [{str: str}],
  "originals": {str: [None]},
}
_OF_SKIPPED = {"id": str, "reason": str}


def _is_damaged(fields: Any) -> bool:
  """Whether the content of a sidecar is not what `write` writes."""
  if (
    kinds.misfit(fields, _FIELDS, {})
    or kinds.misfit(fields["shard"], OF_SHARD, {})
    or any(kinds.misfit(each, _OF_SKIPPED, {}) for each in fields["skipped"])
  ):
    return True
  videos, columns = fields["shard"]["videos"], fields["originals"]
  if fields["num_frames"] < videos:
    return True
  names = {"fps", "frames", *Picture._fields}
  return not (columns.keys() == names or not videos) or not all(
    len(column) == videos
    and all(isinstance(value, int | float) for value in column)
    and (name != "fps" or all(value > 0 for value in column))
    for name, column in columns.items()
  )


def sidecar_of(path: epath.Path) -> epath.Path:
  """Path of the sidecar of the shard at a path."""
  return path.with_suffix(".json")


@contextlib.contextmanager
def _writing(path: epath.Path) -> Iterator[None]:
  """Turns an error of ArrayRecord into a DataError that names the shard."""
  try:
    yield
  except RuntimeError as error:
    raise DataError(f"{path}: cannot be written: {error}") from error


def extend(ranges: Ranges, start: int, stop: int) -> None:
  """Adds a range to others, joined with the last one if it continues it.

  Args:
    ranges: Ranges of record numbers, changed in place.
    start: First record of the new range.
    stop: One more than its last record.
  """
  if ranges and ranges[-1][1] == start:
    start = ranges.pop()[0]
  ranges.append((start, stop))
