"""Records: one serialized video each, in the shards of a prepared dataset.

A record is one msgpack map. The frames are in `chunks`, which are beside it in
the shard; in version 1 they are in the map, and before version 3 no frame is
disposable. `index` describes the shards and what is beside them.
"""

import bisect
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgpack

from hdc_jax.data.store import chunks, record_fields
from hdc_jax.data.store.chunks import Packets
from hdc_jax.data.video.codec import Encoded
from hdc_jax.errors import DataError

# Format of records and of the index. A change of either raises it for both.
VERSION = 3
_READ = (1, 2, VERSION)  # The versions that are read.

WRITER_OPTIONS = "group_size:1,uncompressed"  # Packets are compressed already.

# Entries of one list or map of a record. Memory is taken for as many as its
# head claims, before the first one is read.
_MAX_ITEMS = 1 << 16

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


@dataclasses.dataclass(frozen=True)
class Record:
  """One video of a prepared dataset.

  Attributes:
    id: Name of the video, such as its path: readable and unique within the
      dataset.
    labels: For each label, the `(first_frame, class)` segments that cover the
      video; a label that holds for the whole video is `((0, class),)`.
    codec: The codec of the frames, 'h264' or 'raw'.
    fps: Frames per second.
    height: Height of a frame in pixels; even.
    width: Width of a frame in pixels; even.
    extradata: Parameter sets of H.264, see `Encoded.extradata`.
    num_frames: Number of frames.
    chunk_frames: Number of frames in each chunk but the last, which may have
      fewer.
    first_chunk: Number of the first chunk among those of the shard.
    tags: For each tag, the classes that the video shows: any number of them,
      for multi-label classification.
    group: Name of the group that the video belongs to, see `VideoFile.group`.
    packets: The frames of a record of version 1; None if they are in chunks.
  """

  id: str
  labels: Mapping[str, Segments]
  codec: str
  fps: float
  height: int
  width: int
  extradata: bytes
  num_frames: int
  chunk_frames: int
  first_chunk: int = 0
  tags: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)
  group: str = ""
  packets: Packets | None = dataclasses.field(default=None, compare=False)

  @property
  def num_chunks(self) -> int:
    """Number of chunks."""
    return -(-self.num_frames // self.chunk_frames)

  def chunk(self, number: int, data: bytes) -> Encoded:
    """Reads a chunk of the video.

    Args:
      number: Number of the chunk, counted from the first one of the video.
      data: The chunk, serialized.

    Returns:
      The frames of the chunk, as a video of their own.

    Raises:
      DataError: If the bytes are no such chunk.
    """
    frames = self.num_frames - number * self.chunk_frames
    return self.encoded(chunks.parse(data, min(frames, self.chunk_frames)))

  def encoded(self, packets: Packets) -> Encoded:
    """Describes packets of the video as a video of their own.

    Args:
      packets: The packets, the first of which is a keyframe's.
    """
    return Encoded(
      codec=self.codec,
      fps=self.fps,
      height=self.height,
      width=self.width,
      extradata=self.extradata,
      packets=packets.packets,
      offsets=packets.offsets,
      keyframes=packets.keyframes,
      disposable=packets.disposable,
    )

  def to_bytes(self) -> bytes:
    """Serializes the record, whose frames are in chunks.

    Returns:
      The record as one msgpack map; equal records give equal bytes.
    """
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
        "codec": self.codec,
        "fps": self.fps,
        "height": self.height,
        "width": self.width,
        "extradata": self.extradata,
        "frames": self.num_frames,
        "chunk_frames": self.chunk_frames,
        "first_chunk": self.first_chunk,
      }
      | {name: value for name, value in optional.items() if value}
    )
    return cast(bytes, data)

  @classmethod
  def from_bytes(cls, data: bytes) -> "Record":
    """Reads a record that `to_bytes` wrote, or one of version 1.

    Args:
      data: One serialized record.

    Returns:
      The record.

    Raises:
      DataError: If the bytes are no record, or one of another version.
    """
    try:
      fields = msgpack.unpackb(
        data, max_array_len=_MAX_ITEMS, max_map_len=_MAX_ITEMS
      )
      version = fields["version"]
    except Exception as error:  # msgpack raises errors of many kinds.
      raise DataError(f"not a record of hdc_jax: {error}") from error
    check_version(version, "the record")
    if fault := record_fields.fault(fields):
      raise DataError(f"not a record of hdc_jax: {fault}")
    packets = record_fields.packets_of(fields) if version == 1 else None
    frames = len(packets.keyframes) if packets else fields["frames"]
    return cls(
      id=fields["id"],
      labels={
        name: tuple((first, label) for first, label in segments)
        for name, segments in fields["labels"].items()
      },
      codec=fields["codec"],
      fps=fields["fps"],
      height=fields["height"],
      width=fields["width"],
      extradata=fields["extradata"],
      num_frames=frames,
      chunk_frames=fields.get("chunk_frames", frames),
      first_chunk=fields.get("first_chunk", 0),
      tags=fields.get("tags", {}),
      group=fields.get("group", ""),
      packets=packets,
    )


def cut(
  video_id: str,
  labels: Mapping[str, Segments],
  encoded: Encoded,
  tags: Mapping[str, Sequence[int]] | None = None,
  group: str = "",
) -> tuple[Record, list[bytes]]:
  """Makes the record of a video, and its chunks.

  Args:
    video_id: See `Record.id`.
    labels: See `Record.labels`.
    encoded: The video, with evenly spaced keyframes.
    tags: See `Record.tags`.
    group: See `Record.group`.

  Returns:
    The record of a video whose chunks are the first of their shard, and the
    chunks, serialized.
  """
  frames = chunks.frames_per_chunk(encoded)
  record = Record(
    id=video_id,
    labels=labels,
    codec=encoded.codec,
    fps=encoded.fps,
    height=encoded.height,
    width=encoded.width,
    extradata=encoded.extradata,
    num_frames=encoded.num_frames,
    chunk_frames=frames,
    tags=tags or {},
    group=group,
  )
  return record, list(chunks.split(encoded, frames))


def check_version(version: Any, what: str) -> None:
  """Checks the format version of a record or an index.

  Args:
    version: The version that was read.
    what: What has this version, for the message.

  Raises:
    DataError: If this hdc_jax reads another version.
  """
  # Python takes True and 1.0 for 1.
  if type(version) is not int or version not in _READ:
    raise DataError(
      f"{what} has format version {version}, this hdc_jax reads "
      f"{', '.join(map(str, _READ))}; prepare the dataset again, or use the "
      "hdc_jax it was prepared with"
    )
