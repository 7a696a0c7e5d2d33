"""Packets of H.264, without a container, to chosen frames."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import av
import numpy as np

from hdc_jax.errors import DataError

_YUV = "yuv420p"  # Format of the pixels.
# Pixels of a frame, at most: those of the highest level of H.264, 6.2.
MAX_PIXELS = 139_264 * 16**2

_PADDING = bytes(64)  # Decoders may read this far past the end of a packet.


def shown_at(disposable: np.ndarray) -> np.ndarray:
  """Numbers frames as they are shown, where packets are as they are decoded.

  A disposable frame is decoded right after the frame that is shown after it.

  Args:
    disposable: Whether each frame is disposable, as they are decoded; the first
      is not. bool `[N]`.

  Returns:
    The number of each frame as they are shown, int64 `[N]`.

  Example:
    >>> shown_at(np.array([False, False, True, True, False])).tolist()
    [0, 3, 1, 2, 4]
  """
  numbers = np.arange(-1, len(disposable) - 1)
  references = np.flatnonzero(~disposable)
  numbers[references] = np.append(references[1:], len(disposable)) - 1
  return numbers


def decode(
  extradata: bytes,
  packets: bytes | memoryview,
  offsets: np.ndarray,
  keyframes: np.ndarray,
  disposable: np.ndarray,
  indices: np.ndarray,
  height: int,
  width: int,
) -> Iterator[list[np.ndarray]]:
  """Decodes chosen frames, each from the last keyframe at or before it.

  No frame is decoded twice. Disposable frames that are not wanted are skipped,
  and so are stretches between keyframes that hold no wanted frame.

  Args:
    extradata: The parameter sets of the video (Annex B).
    packets: The packets of all N frames, concatenated as they are decoded.
    offsets: Where each packet begins, and where the last one ends, in bytes;
      int64 `[N + 1]`.
    keyframes: Whether each packet is a keyframe's, as the first one must be;
      bool `[N]`.
    disposable: Whether no other frame is decoded from that of each packet; bool
      `[N]`.
    indices: The frames to decode, as they are shown, increasing, without
      repeats; int64.
    height: Height of a frame in pixels.
    width: Width of a frame in pixels.

  Yields:
    For each frame of `indices` the planes Y, U and V, uint8: views, at least as
    wide as the frame, that are valid until the next frame is taken.

  Raises:
    DataError: If a frame cannot be decoded, or has another size or format.
  """
  shown = shown_at(disposable)
  needed = _needed(keyframes, disposable, shown, indices)
  begin, end = offsets[needed[0]], offsets[needed[-1] + 1]
  data = memoryview(extradata + packets[begin:end] + _PADDING)
  starts = (offsets[needed] - begin + len(extradata)).tolist()
  starts[0] = 0  # The parameter sets are part of the first packet.
  stops = (offsets[needed + 1] - begin + len(extradata)).tolist()
  numbers, wanted = shown[needed].tolist(), set(indices.tolist())
  fed = [
    (number, data[start:stop])
    for number, start, stop in zip(numbers, starts, stops, strict=True)
  ]
  for number, frame in _decoded(fed):
    if (frame.height, frame.width, frame.format.name) != (height, width, _YUV):
      del _THREAD.decoder
      raise DataError(
        f"frame {number} is {frame.height}×{frame.width} in "
        f"{frame.format.name}, its record says {height}×{width} in {_YUV}"
      )
    if number in wanted:
      planes: Any = frame.planes  # Buffers, which the stub does not say.
      yield [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        for plane in planes
      ]


def _needed(
  keyframes: np.ndarray,
  disposable: np.ndarray,
  shown: np.ndarray,
  indices: np.ndarray,
) -> np.ndarray:
  """Finds the packets from which frames are decoded.

  Args:
    keyframes: Whether each packet is a keyframe's; bool `[N]`.
    disposable: Whether each packet is disposable; bool `[N]`.
    shown: The number of the frame of each packet, int64 `[N]`.
    indices: The frames that are wanted; int64.

  Returns:
    The packets of these frames, and from the keyframe before on those of the
    frames that they refer to; int64, increasing.
  """
  wanted = np.sort(np.argsort(shown)[indices])
  groups = np.cumsum(keyframes)
  # The group of the first wanted packet that is not before each packet.
  following = np.searchsorted(wanted, np.arange(len(groups)))
  of_following = np.append(groups[wanted], 0)[following]
  needed = ~disposable & (groups == of_following)
  needed[wanted] = True
  return np.flatnonzero(needed)


def _decoded(
  fed: Sequence[tuple[int, memoryview]],
) -> Iterator[tuple[int, av.VideoFrame]]:
  """Decodes packets.

  Args:
    fed: The number of the frame of each packet, and its bytes.

  Yields:
    Each number with its frame, increasing.

  Raises:
    DataError: If a packet does not give its frame.
  """
  decoder = _thread_decoder()
  decoder.flush_buffers()
  awaited, count = sorted(number for number, _ in fed), 0
  # Some frames come out after the next packet, and the last after the end.
  for number, data in [*fed, (awaited[-1], None)]:
    for frame in _decode_packet(decoder, number, data):
      if [frame.pts] != awaited[count : count + 1]:
        raise _failure(awaited[min(count, len(awaited) - 1)], "it is left out")
      yield awaited[count], frame
      count += 1
  if count < len(awaited):
    raise _failure(awaited[count], "it is left out")


def _decode_packet(
  decoder: av.VideoCodecContext, number: int, data: memoryview | None
) -> list[av.VideoFrame]:
  """Feeds a packet to a decoder, and takes the frames that are ready.

  Args:
    decoder: The decoder.
    number: Number of the frame of the packet, which becomes its time.
    data: Bytes of the packet; None at the end.

  Returns:
    The frames.
  """
  try:
    packet = None
    if data is not None:
      bytes_like: Any = data  # Any buffer will do; PyAV's stub says bytes.
      packet = av.Packet(bytes_like)
      packet.pts = number
    return decoder.decode(packet)
  except Exception as error:  # whatever a damaged packet makes PyAV raise
    reason = getattr(error, "strerror", None) or repr(error)
    raise _failure(number, reason) from error


def _failure(number: int, reason: str) -> DataError:
  """The error of a frame that cannot be decoded; ends this thread's decoder."""
  # Flushing would not be enough: the next frames would be subtly wrong.
  del _THREAD.decoder
  return DataError(f"frame {number} cannot be decoded: {reason}")


_THREAD = threading.local()


def _thread_decoder() -> av.VideoCodecContext:
  """Returns this thread's decoder, which is kept from video to video."""
  if not hasattr(_THREAD, "decoder"):
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    # Damaged data raises an error instead of giving a grey patch.
    decoder.options = {
      "err_detect": "explode",
      "max_pixels": str(MAX_PIXELS),
    }
    _THREAD.decoder = decoder
  return _THREAD.decoder
