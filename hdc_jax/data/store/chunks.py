"""Chunks: the frames of a video, in records of a bounded size.

A clip needs a few frames of a video, which may be hours long. So a video is cut
into chunks of equally many frames, each a record of its own, and a clip reads
those that hold its frames. A chunk begins with a keyframe, and is decoded
without the one before.

```
uint32 little-endian, for each packet   its size, + 2³¹ if it is a keyframe's,
                                        + 2³⁰ if its frame is disposable
the packets of all frames
```

Chunks of version 2 have no disposable frames.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hdc_jax.data.video.codec import Encoded
from hdc_jax.errors import DataError

# Bytes of the packets of a chunk, at most, unless a single group of pictures
# has more. Choice: measured. Reading a record takes 20 µs, and 0.5 µs for each
# kilobyte up to 128 KiB, beyond which memory is taken from the system anew each
# time: 85 µs for 128 KiB and 290 µs for 256 KiB.
CHUNK_BYTES = 96 << 10
# What a record may claim.
MAX_CHUNK_FRAMES = 1024

_KEYFRAME, _DISPOSABLE = 1 << 31, 1 << 30


class Packets(NamedTuple):
  """The packets of some frames, see the fields of `Encoded`."""

  packets: bytes | memoryview
  offsets: np.ndarray
  keyframes: np.ndarray
  disposable: np.ndarray


def frames_per_chunk(encoded: Encoded) -> int:
  """Chooses the number of frames of the chunks of a video.

  Args:
    encoded: The video, with equally many frames from each keyframe to the next.

  Returns:
    The number: as many groups of pictures as `CHUNK_BYTES` hold anywhere in the
    video, and at least one.

  Raises:
    ValueError: If the keyframes are not evenly spaced.
  """
  offsets, keys = encoded.offsets, np.flatnonzero(encoded.keyframes)
  group = int(keys[1]) if len(keys) > 1 else encoded.num_frames
  if not np.array_equal(keys, np.arange(0, encoded.num_frames, group)):
    raise ValueError("the keyframes of the video are not evenly spaced")

  def largest(frames: int) -> int:
    return int(np.diff(np.append(offsets[:-1:frames], offsets[-1])).max())

  frames = group
  while (
    frames < encoded.num_frames
    and frames + group <= MAX_CHUNK_FRAMES
    and largest(frames + group) <= CHUNK_BYTES
  ):
    frames += group
  return frames


def split(encoded: Encoded, frames: int) -> Iterator[bytes]:
  """Cuts a video into chunks.

  Args:
    encoded: The video.
    frames: Number of frames of each chunk but the last, which may have fewer;
      a multiple of those from one keyframe to the next.

  Yields:
    The chunks, serialized.
  """
  offsets = encoded.offsets
  words = np.diff(offsets).astype("<u4")
  words |= encoded.keyframes * np.uint32(_KEYFRAME)
  words |= encoded.disposable * np.uint32(_DISPOSABLE)
  for start in range(0, encoded.num_frames, frames):
    part = words[start : start + frames]
    begin, end = offsets[start], offsets[start + len(part)]
    yield part.tobytes() + bytes(encoded.packets[begin:end])


def parse(data: bytes, frames: int) -> Packets:
  """Reads a chunk that `split` made.

  Args:
    data: The chunk, serialized.
    frames: Number of its frames.

  Returns:
    The packets of its frames, which are not copied.

  Raises:
    DataError: If the bytes are no such chunk.
  """
  packets = memoryview(data)[4 * frames :]
  if len(data) < 4 * frames:
    raise DataError("it is cut short")
  words = np.frombuffer(data, "<u4", frames)
  offsets = offsets_of(words & (_DISPOSABLE - 1))
  keyframes, disposable = (
    (words & bit) > 0 for bit in (_KEYFRAME, _DISPOSABLE)
  )
  if offsets[-1] != len(packets):
    raise DataError("it is cut short, or too long")
  if not keyframes[0] or disposable[0]:
    raise DataError("it begins with no keyframe")
  return Packets(packets, offsets, keyframes, disposable)


def offsets_of(sizes: np.ndarray) -> np.ndarray:
  """Where packets begin, and where the last one ends, in bytes.

  Args:
    sizes: Sizes of the packets in bytes, uint32 `[N]`.

  Returns:
    int64 `[N + 1]`, of which the first is 0.
  """
  offsets = np.zeros(len(sizes) + 1, np.int64)
  np.cumsum(sizes, out=offsets[1:])
  return offsets
