"""Records: one serialized video each, in the shards of a prepared dataset.

A record is one msgpack map. `index` describes the shards and what is beside
them.
"""

import bisect
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgpack
import numpy as np

from hdc_jax.data.video.codec import Encoded
from hdc_jax.errors import DataError

# Format of records and of the index. A change of either raises it for both.
VERSION = 1

WRITER_OPTIONS = "group_size:1,uncompressed"  # Packets are compressed already.

# The classes that a video shows one after the other: `(first_frame, class)`,
# with increasing frames, of which the first is 0.
Segments = tuple[tuple[int, int], ...]


def label_at(segments: Segments, frame: int) -> int:
  """Returns the class at a frame.

  Args:
    segments: The classes of the video, `(first_frame, class)`, with increasing
      frames, of which the first is 0.
    frame: Index of the frame.

  Returns:
    The class of the segment that holds the frame.

  Example:
    >>> segments = ((0, 5), (24, 2))  # class 5, then class 2 from frame 24 on
    >>> label_at(segments, 23), label_at(segments, 24)
    (5, 2)
  """
  return segments[bisect.bisect_right(segments, frame, key=_first_frame) - 1][1]


def _first_frame(segment: tuple[int, int]) -> int:
  return segment[0]


def find_label(
  video_id: str, labels: Mapping[str, Segments], name: str, frame: int
) -> int:
  """Returns the class of one of a video's labels at a frame.

  Args:
    video_id: Id of the video, for the message.
    labels: The labels of the video, see `Record.labels`.
    name: Name of the label.
    frame: Index of the frame.

  Returns:
    The class at the frame.

  Raises:
    DataError: If the video has no such label; lists those that it has.
  """
  if name not in labels:
    raise DataError(
      f"{video_id}: has no label {name!r}; it has "
      f"{', '.join(sorted(labels)) or 'none'}"
    )
  return label_at(labels[name], frame)


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
  """One video of a prepared dataset.

  Attributes:
    id: Name of the video, such as its path: readable and unique within the
      dataset.
    labels: For each label, the `(first_frame, class)` segments that cover the
      video; a label that holds for the whole video is `((0, class),)`.
    encoded: The encoded frames.
    tags: For each tag, the classes that the video shows: any number of them,
      for multi-label classification.
    group: Name of the group that the video belongs to, see `VideoFile.group`.
  """

  id: str
  labels: Mapping[str, Segments]
  encoded: Encoded
  tags: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)
  group: str = ""

  def to_bytes(self) -> bytes:
    """Serializes the record.

    Returns:
      The record as one msgpack map; equal records give equal bytes.
    """
    encoded = self.encoded
    # Left out where there are none, as in the records of earlier versions.
    optional = {
      "tags": {name: list(self.tags[name]) for name in sorted(self.tags)},
      "group": self.group,
    }
    data = msgpack.packb(
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
      | {name: value for name, value in optional.items() if value}
    )
    return cast(bytes, data)

  @classmethod
  def from_bytes(cls, data: bytes) -> "Record":
    """Reads a record that `to_bytes` wrote.

    Args:
      data: One serialized record.

    Returns:
      The record.

    Raises:
      DataError: If the bytes are no record, or one of another version.
    """
    try:
      fields = msgpack.unpackb(data)
      version = fields["version"]
    except Exception as error:  # msgpack raises errors of many kinds.
      raise DataError(f"not a record of hdc_jax: {error}") from error
    check_version(version, "the record")
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
        tags=fields.get("tags", {}),
        group=fields.get("group", ""),
      )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
      raise DataError(f"a record lacks a field: {error!r}") from error
    if record.encoded.offsets[-1] != len(record.encoded.packets):
      raise DataError(f"the record of {record.id} is cut short")
    return record


def check_version(version: Any, what: str) -> None:
  """Checks the format version of a record or an index.

  Args:
    version: The version that was read.
    what: What has this version, for the message.

  Raises:
    DataError: If this hdc_jax reads another version.
  """
  if version != VERSION:
    raise DataError(
      f"{what} has format version {version}, this hdc_jax reads {VERSION}; "
      "prepare the dataset again, or use the hdc_jax it was prepared with"
    )
