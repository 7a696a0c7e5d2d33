"""What a prepared dataset is made of: records in shards, and one index.

```
index.json                           what is there; written last
missing.txt, unlisted.txt            what is not, if the dataset has lists
shard-00000-of-00004.array_record    records, one video each
shard-00000-of-00004.json            how far preparing came (see `shards`)
```

A record is one msgpack map. `Index` holds nothing per video, so that it stays
small for millions of them; only those left out are listed, with the reason.
"""

import bisect
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgpack
import numpy as np
from etils import epath

from hdc_jax.data.video.codec import Encoded
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.runtime import files

VERSION = 1  # of the record and of the index; either changing changes both

INDEX = "index.json"
UNFINISHED = ".unfinished"  # there while a dataset is made, and no index
# What is only where a dataset is made, or was.
OURS = re.compile(r"index\.json|\.unfinished|\.shard-.*|.*\.array_record")
WRITER_OPTIONS = "group_size:1,uncompressed"  # packets do not compress further

Segments = tuple[tuple[int, int], ...]


def label_at(segments: Segments, frame: int) -> int:
  """The class at a frame.

  Args:
    segments: `(first_frame, class)`, increasing; the first begins at 0.
    frame: index of the frame.

  Returns:
    The class of the segment that holds the frame.
  """
  return segments[bisect.bisect_right(segments, frame, key=_first) - 1][1]


def _first(segment: tuple[int, int]) -> int:
  return segment[0]


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
  """One video of a prepared dataset.

  Attributes:
    id: unique within the dataset and readable, such as a path.
    labels: for each label, `(first_frame, class)` segments that cover the
      video; a label of the whole video is `((0, class),)`.
    encoded: the frames.
  """

  id: str
  labels: Mapping[str, Segments]
  encoded: Encoded

  def to_bytes(self) -> bytes:
    """Serializes the record; equal records give equal bytes."""
    encoded = self.encoded
    return msgpack.packb(
      {
        "version": VERSION,
        "id": self.id,
        "labels": {name: self.labels[name] for name in sorted(self.labels)},
        "codec": encoded.codec,
        "fps": encoded.fps,
        "height": encoded.height,
        "width": encoded.width,
        "sizes": np.diff(encoded.offsets).astype("<u4").tobytes(),
        "keyframes": np.packbits(encoded.keyframes).tobytes(),
        "extradata": encoded.extradata,
        "packets": encoded.packets,
      }
    )

  @classmethod
  def from_bytes(cls, data: bytes) -> "Record":
    """Reads what `to_bytes` wrote.

    Args:
      data: one record.

    Returns:
      The record.

    Raises:
      DataError: if it is not a record, or one of another version.
    """
    try:
      fields = msgpack.unpackb(data)
      version = fields["version"]
    except Exception as error:  # msgpack raises whatever it stumbles over
      raise DataError(f"not a record of hdc_jax: {error}") from error
    _check_version(version, "the record")
    try:
      sizes = np.frombuffer(fields["sizes"], "<u4")
      keyframes = np.frombuffer(fields["keyframes"], np.uint8)
      record = cls(
        id=fields["id"],
        labels={
          name: tuple((first, label) for first, label in segments)
          for name, segments in fields["labels"].items()
        },
        encoded=Encoded(
          codec=fields["codec"],
          fps=fields["fps"],
          height=fields["height"],
          width=fields["width"],
          extradata=fields["extradata"],
          packets=fields["packets"],
          offsets=np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]),
          keyframes=np.unpackbits(keyframes, count=len(sizes)).astype(bool),
        ),
      )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
      raise DataError(f"a record lacks a field: {error!r}") from error
    if record.encoded.offsets[-1] != len(record.encoded.packets):
      raise DataError(f"the record of {record.id} is cut short")
    return record


@dataclasses.dataclass(frozen=True)
class Shard:
  """One file of records.

  Attributes:
    name: of the file, within the dataset's directory.
    videos: number of records.
    bytes: size of the file.
    sha256: of the file, in hexadecimal.
  """

  name: str
  videos: int
  bytes: int
  sha256: str


def describe(path: str, name: str, videos: int) -> Shard:
  """Takes the measure of a local file of records.

  Args:
    path: where it is now.
    name: what it is to be called.
    videos: number of its records.
  """
  with open(path, "rb") as file:
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
  return Shard(name, videos, os.path.getsize(path), sha256)


@dataclasses.dataclass(frozen=True)
class Index:
  """What a dataset holds.

  Attributes:
    fingerprint: sha256 over the content: equal for equal datasets, wherever
      they lie.
    request: sha256 over what was asked of `prepare`.
    codec: of the records.
    short_side: of the frames, in pixels.
    num_videos: number of records.
    num_frames: of all videos together; None where nobody counted.
    labels: the names of the classes of each label, by class.
    splits: ranges `[start, stop)` of record numbers of each split.
    shards: the files, in the order of the record numbers.
    skipped: `id` and `reason` of each video that could not be used.
    official: what the dataset's authors count, see `Listing.official`.
    left_out: how many videos there is no record of, by reason; `<reason>.txt`
      beside the index lists them.
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

  def split(self, name: str) -> np.ndarray:
    """Record numbers of a split.

    Args:
      name: of the split, exactly: a dataset that is divided in several ways has
        'train1', 'train2' and so on, and 'train' is none of them.

    Returns:
      int64 `[videos in the split]`, increasing.

    Raises:
      ConfigError: if there is no such split; lists those there are.
      DataError: if there are no videos in it.
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
    """Writes index.json into a directory; it is there whole or not at all."""
    fields = {"version": VERSION, **dataclasses.asdict(self)}
    files.write_json(epath.Path(directory) / INDEX, fields)

  @classmethod
  def load(cls, directory: epath.PathLike) -> "Index":
    """Reads index.json.

    Args:
      directory: of a prepared dataset.

    Returns:
      The index.

    Raises:
      DataError: if there is no such directory or no index in it, or if it is of
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
    except (ValueError, KeyError, AttributeError, TypeError) as error:
      raise DataError(f"{path}: not an index: {error!r}") from error
    _check_version(version, str(path))
    try:
      fields["shards"] = [Shard(**shard) for shard in fields["shards"]]
      return cls(**fields)
    except (KeyError, TypeError) as error:
      raise DataError(f"{path}: not an index: {error}") from error

  def check_shards(self, directory: epath.PathLike) -> None:
    """Raises a DataError on the first shard that is missing or cut short."""
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
  """Marks a directory as one in which a dataset is made, not of videos."""
  files.write(epath.Path(directory) / UNFINISHED, b"")


def digest(value: Any) -> str:
  """sha256, in hexadecimal, of a value that JSON can hold."""
  text = json.dumps(value, sort_keys=True, ensure_ascii=False)
  return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _check_version(version: Any, what: str) -> None:
  if version != VERSION:
    raise DataError(
      f"{what} has format version {version}, this hdc_jax reads {VERSION}; "
      "prepare the dataset again, or use the hdc_jax it was prepared with"
    )
