"""The index of a prepared dataset, and the other files in its directory.

```
index.json                           what the dataset holds; written last
missing.txt, not_videos.txt, …       files without a record, see `left_out`
shard-00000-of-00004.array_record    records of videos and their frames
shard-00000-of-00004.json            a finished shard, see `prepare.shards`
```

The index holds nothing per video, so that it stays small for millions of them;
only the videos that could not be used are listed, with the reason.
"""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from hdc_jax.data.store import index_fields, records
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.runtime import files

INDEX = "index.json"
UNFINISHED = ".unfinished"  # Marks a directory in which `prepare` is at work.
# Names of files by which a directory is one that `prepare` writes or wrote to,
# not a folder of videos.
PREPARED_NAMES = re.compile(
  r"index\.json|\.unfinished|\.shard-.*|.*\.array_record"
)


# What reading a damaged JSON file raises.
_UNREADABLE = (ValueError, KeyError, AttributeError, TypeError, RecursionError)


@dataclasses.dataclass(frozen=True)
class Shard:
  """One file of records.

  Attributes:
    name: Name of the file, within the dataset's directory.
    videos: Number of videos.
    records: Number of all records, those of chunks included; see `shard_files`.
    bytes: Size of the file in bytes.
    sha256: SHA-256 of the file, in hexadecimal.
  """

  name: str
  videos: int
  records: int
  bytes: int
  sha256: str

  @classmethod
  def from_file(
    cls, path: str, name: str, videos: int, records: int
  ) -> "Shard":
    """Reads a local file of records to find its size and SHA-256.

    Args:
      path: Where the file is now.
      name: Name of the file within the dataset's directory.
      videos: Number of its videos.
      records: Number of its records.

    Returns:
      The description of the file.
    """
    with open(path, "rb") as file:
      sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return cls(name, videos, records, os.path.getsize(path), sha256)

  def of_file(self, path: str) -> "Shard":
    """Describes a local file in which this shard should be, see `from_file`."""
    return Shard.from_file(path, self.name, self.videos, self.records)


@dataclasses.dataclass(frozen=True)
class Index:
  """What a dataset holds.

  Attributes:
    fingerprint: SHA-256 of the content: equal for equal datasets, wherever they
      are.
    request: SHA-256 of the settings and the list of videos that `prepare` was
      given.
    codec: Codec of the records, or 'original' for a folder of video files.
    short_side: Short side of the frames, in pixels.
    num_videos: Number of videos.
    num_frames: Number of frames of all videos together; None if unknown.
    labels: For each label, the names of its classes, in order of their numbers.
    splits: For each split, the ranges `[start, stop)` of its record numbers.
    shards: The files of records, in the order of record numbers.
    skipped: The `id` of each video that could not be used, and the `reason`.
    official: The counts that the dataset's authors state, see
      `Listing.official`.
    left_out: For each reason, the number of videos that have no record for it;
      the file `<reason>.txt` beside the index lists them.
    tags: For each tag, the names of its classes, in order of their numbers.
    groups: Number of groups that the videos belong to; 0 for none.
    generated: The options that generated videos depend on: `world`, `seed` and
      those of the world, see `worlds.WORLDS`; empty for other videos, and in
      datasets of earlier versions.
  """

  fingerprint: str
  request: str
  codec: str
  short_side: int
  num_videos: int
  num_frames: int | None
  labels: Mapping[str, Sequence[str]]
  splits: Mapping[str, Sequence[tuple[int, int]]]
  shards: Sequence[Shard]
  skipped: Sequence[Mapping[str, str]]
  official: Mapping[str, int] = dataclasses.field(default_factory=dict)
  left_out: Mapping[str, int] = dataclasses.field(default_factory=dict)
  tags: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
  groups: int = 0
  generated: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def split(self, name: str) -> np.ndarray:
    """Returns the record numbers of a split.

    Args:
      name: Exact name of the split. A dataset with several folds has 'train1',
        'train2' and so on, and no split 'train'.

    Returns:
      Record numbers, increasing; int64 `[videos in the split]`.

    Raises:
      ConfigError: If there is no such split; lists those that there are.
      DataError: If the split has no videos.
    """
    if name not in self.splits:
      raise ConfigError(
        f"no split {name!r} in the dataset; it has "
        f"{', '.join(sorted(self.splits)) or 'none'}"
      )
    ranges = [np.arange(a, b, dtype=np.int64) for a, b in self.splits[name]]
    numbers = np.concatenate([np.empty(0, np.int64), *ranges])
    if not len(numbers):
      raise DataError(f"split {name!r} of the dataset has no videos")
    return numbers

  def save(self, directory: epath.PathLike) -> None:
    """Writes index.json, which then exists whole or not at all.

    Args:
      directory: Directory of the dataset.
    """
    fields = {"version": records.VERSION, **dataclasses.asdict(self)}
    files.write_json(epath.Path(directory) / INDEX, fields)

  @classmethod
  def load(cls, directory: epath.PathLike) -> "Index":
    """Reads index.json.

    Args:
      directory: Directory of a prepared dataset.

    Returns:
      The index.

    Raises:
      DataError: If there is no such directory, no index in it, or one of
        another version.
    """
    directory = epath.Path(directory)
    if not files.exists(directory):
      raise DataError(f"{directory}: no such directory")
    path = directory / INDEX
    if not files.exists(path):
      raise DataError(
        f"{directory}: has no {INDEX}; make it with "
        "`python -m hdc_jax.prepare`, or run that again if it was interrupted"
      )
    try:
      fields = json.loads(files.read_text(path))
      version = fields.pop("version")
    except _UNREADABLE as error:
      raise DataError(f"{path}: not an index: {error!r}") from error
    records.check_version(version, str(path))
    if fault := index_fields.fault(fields, version):
      raise DataError(f"{path}: not an index: {fault}")
    # In version 1, the frames are in the records of the videos.
    fields["shards"] = [
      Shard(**{"records": shard["videos"], **shard})
      for shard in fields["shards"]
    ]
    return cls(**fields)

  def check_shards(self, directory: epath.PathLike) -> None:
    """Checks that all shards are there, with the right sizes.

    Args:
      directory: Directory of the shards.

    Raises:
      DataError: On the first shard that is missing or has another size.
    """
    paths = [
      os.path.join(os.fspath(directory), shard.name) for shard in self.shards
    ]
    sizes = files.sizes(paths)
    for shard, path, size in zip(self.shards, paths, sizes, strict=True):
      if size is None:
        raise DataError(
          f"{path}: this shard is missing; `python -m hdc_jax.prepare` makes "
          "it again"
        )
      if size != shard.bytes:
        raise DataError(
          f"{path}: this shard has {size} bytes instead of {shard.bytes}; "
          "delete it and `python -m hdc_jax.prepare` makes it again"
        )


def mark_unfinished(directory: epath.PathLike) -> None:
  """Writes the file that tells an unfinished dataset from a folder of videos.

  Args:
    directory: Directory in which `prepare` is about to write a dataset.
  """
  files.write(epath.Path(directory) / UNFINISHED, b"")


def digest(value: Any) -> str:
  """Returns the SHA-256 of a value.

  Args:
    value: A value that JSON can hold.

  Returns:
    The SHA-256 of its JSON, in hexadecimal; the order of keys does not matter.

  Example:
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
  """
  text = json.dumps(value, sort_keys=True, ensure_ascii=False)
  return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
