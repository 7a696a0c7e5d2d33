"""Encoded videos, and fast access to single frames of them.

A video is stored as one H.264 packet per frame, with the position of each
packet. Reading a clip takes one codec context and decodes from the last
keyframe on, without the frames that neither the clip nor its other frames need:
no container is parsed and nothing is converted to RGB. The decoded frames stay
in YUV 4:2:0, as the codec gives them; the device converts them.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from hdc_jax.data.video import encoder, h264
from hdc_jax.data.video import frames as frames_lib
from hdc_jax.data.video.containers import errors_named
from hdc_jax.data.video.frames import Frames, Indices, Window
from hdc_jax.data.video.normalize import split_planes
from hdc_jax.data.video.originals import Original
from hdc_jax.errors import ConfigError, DataError

CODECS = ("h264", "raw")


@dataclasses.dataclass(frozen=True, eq=False)
class Encoded:
  """An encoded video: one packet per frame, and where each packet begins.

  Attributes:
    codec: The codec of the packets, 'h264' or 'raw'.
    fps: Frames per second.
    height: Height of a frame in pixels; even.
    width: Width of a frame in pixels; even.
    extradata: Parameter sets of H.264 (Annex B); empty for raw.
    packets: The packets of all frames, concatenated as they are decoded. A raw
      packet is Y `[H, W]` followed by UV `[H/2, W/2, 2]`, uint8.
    offsets: Where each packet begins in `packets`, and where the last one ends,
      in bytes; int64 `[num_frames + 1]`.
    keyframes: Whether decoding can begin at each packet, which then is of the
      frame of the same number; bool `[num_frames]`.
    disposable: Whether no other frame is decoded from that of each packet; bool
      `[num_frames]`. These packets follow that of the frame that is shown after
      them, see `h264.shown_at`.
  """

  codec: str
  fps: float
  height: int
  width: int
  extradata: bytes
  packets: bytes | memoryview
  offsets: np.ndarray
  keyframes: np.ndarray
  disposable: np.ndarray

  @property
  def num_frames(self) -> int:
    """Number of frames."""
    return len(self.keyframes)


def encode(
  path: str,
  *,
  codec: str = "h264",
  short_side: int = 128,
  start: float = 0.0,
  end: float | None = None,
  deinterlace: bool = False,
) -> Encoded:
  """Re-encodes a video file for training.

  Args:
    path: A video file in any format that FFmpeg reads.
    codec: See `encode_original`.
    short_side: Short side of the encoded frames in pixels; even.
    start: Where the video begins in the file, in seconds.
    end: Where it ends in the file, in seconds; None for the end of the file.
    deinterlace: Whether to deinterlace the frames that are interlaced.

  Returns:
    The whole video, encoded.

  Raises:
    ConfigError: If the codec is unknown or the short side is odd or too small.
    DataError: If the file cannot be read to its end, or has no frame between
      `start` and `end`.
  """
  check_settings(codec, short_side)
  with Original(
    path, short_side, start=start, end=end, deinterlace=deinterlace
  ) as original:
    return encode_original(original, codec)


def encode_original(original: Original, codec: str) -> Encoded:
  """Re-encodes an open video file for training.

  The frames are those of `originals`: upright, scaled to the short side, in
  BT.601 limited range. With h264 only a few decoded frames are in memory at a
  time; with raw, all of them are.

  Args:
    original: The video file.
    codec: 'h264', or 'raw' for exact frames at some thirty times the bytes.

  Returns:
    The whole video, encoded.

  Raises:
    DataError: If the file cannot be read to its end, or has no frames.
  """
  frames = original.frames()
  first = next(frames, None)
  if first is None:
    raise DataError(f"{original.path}: holds no frames")
  with errors_named(original.path, "cannot be encoded"):
    return encode_frames(itertools.chain([first], frames), codec, original.fps)


def encode_frames(
  frames: Iterator[np.ndarray], codec: str, fps: float
) -> Encoded:
  """Encodes frames for training.

  Args:
    frames: The frames of a video, at least one, each uint8 `[3·H/2, W]` in
      yuv420p.
    codec: See `encode_original`.
    fps: Frames per second.

  Returns:
    The whole video, encoded.
  """
  first = next(frames)
  height, width = first.shape[0] * 2 // 3, first.shape[1]
  frames = itertools.chain([first], frames)
  extradata, stream = _ENCODERS[codec](frames, height, width)
  packets, keyframes, disposable = zip(*stream, strict=True)
  return Encoded(
    codec=codec,
    fps=fps,
    height=height,
    width=width,
    extradata=extradata,
    packets=b"".join(packets),
    offsets=np.cumsum([0, *map(len, packets)], dtype=np.int64),
    keyframes=np.array(keyframes, bool),
    disposable=np.array(disposable, bool),
  )


def check_settings(codec: str, short_side: int) -> None:
  """Checks the settings of `encode`.

  Args:
    codec: See `encode`.
    short_side: See `encode`.

  Raises:
    ConfigError: If the codec is unknown or the short side is odd or below 16.
  """
  if codec not in CODECS:
    raise ConfigError(f"codec {codec!r} is not one of {', '.join(CODECS)}")
  if short_side < 16 or short_side % 2:
    raise ConfigError(f"short_side={short_side} must be even and at least 16")


def decode(encoded: Encoded, indices: Indices, window: Window) -> Frames:
  """Decodes chosen frames and copies a window out of each.

  No frame is decoded twice, however often and in whatever order it is asked
  for, and stretches between keyframes without a wanted frame are skipped. Many
  threads may call this at once: each has a decoder of its own.

  Args:
    encoded: The video.
    indices: `[T]` indices of frames, in any order, repeats included. A short
      video that is looped is 0, 1, 2, 0, 1, 2, ….
    window: The part of each frame to return.

  Returns:
    The windows `[T, window.height, window.width]`, in the order of `indices`.

  Raises:
    IndexError: If there are no indices, or the video has no such frame.
    ValueError: If the window is odd, empty or leaves the frame.
    DataError: If the packets cannot be decoded.
  """
  frames_lib.check_window(window, encoded.height, encoded.width)
  unique, order = unique_frames(indices, encoded.num_frames)
  return frames_lib.reordered([decode_sorted(encoded, unique, window)], order)


def decode_sorted(
  encoded: Encoded, indices: np.ndarray, window: Window
) -> Frames:
  """Decodes frames in order.

  Args:
    encoded: The video.
    indices: int64 `[T]`, indices of frames that it has, increasing, without
      repeats; at least one.
    window: The part of each frame to return, which is within it.

  Returns:
    The windows `[T, window.height, window.width]`.

  Raises:
    DataError: If the packets cannot be decoded.
  """
  return _DECODERS[encoded.codec](encoded, indices, window)


def unique_frames(
  indices: Indices, num_frames: int
) -> tuple[np.ndarray, np.ndarray]:
  """Reduces indices of frames to those that have to be decoded, sorted.

  Args:
    indices: `[T]` indices of frames, in any order, repeats included.
    num_frames: Number of frames of the video.

  Returns:
    unique: int64 `[U]`, the indices in increasing order, without repeats.
    order: int64 `[T]`, such that `unique[order]` equals `indices`.

  Raises:
    IndexError: If there are no indices, or the video has no such frame.

  Example:
    >>> unique, order = unique_frames([7, 5, 7], num_frames=10)
    >>> unique.tolist(), order.tolist()
    ([5, 7], [1, 0, 1])
  """
  unique, order = np.unique(np.asarray(indices, np.int64), return_inverse=True)
  if not unique.size:
    raise IndexError("no frames were asked for")
  if unique[0] < 0 or unique[-1] >= num_frames:
    raise IndexError(
      f"frames {unique[0]} to {unique[-1]} were asked for, of a video of "
      f"{num_frames}"
    )
  return unique, order


# The extradata, then the packets.
_Stream = tuple[bytes, Iterator[encoder.Packet]]


def _encode_h264(
  frames: Iterator[np.ndarray], height: int, width: int
) -> _Stream:
  opened = encoder.Encoder(height, width)
  return opened.extradata, opened.packets(frames)


def _encode_raw(
  frames: Iterator[np.ndarray], height: int, width: int
) -> _Stream:
  packets = map(_pack_raw, frames)
  return b"", (encoder.Packet(packet, True, False) for packet in packets)


def _pack_raw(frame: np.ndarray) -> bytes:
  """Makes a raw packet of a yuv420p frame, see `Encoded.packets`."""
  y, u, v = split_planes(frame)
  return y.tobytes() + np.stack([u, v], axis=-1).tobytes()


def _decode_h264(
  encoded: Encoded, indices: np.ndarray, window: Window
) -> Frames:
  decoded = h264.decode(
    encoded.extradata,
    encoded.packets,
    encoded.offsets,
    encoded.keyframes,
    encoded.disposable,
    indices,
    encoded.height,
    encoded.width,
  )
  # The size that a record claims is believed once a frame has it.
  first = next(decoded)
  frames = frames_lib.empty_frames(len(indices), window)
  for i, planes in enumerate(itertools.chain([first], decoded)):
    frames_lib.copy_window(planes, window, frames, i)
  return frames


def _decode_raw(
  encoded: Encoded, indices: np.ndarray, window: Window
) -> Frames:
  height, width = encoded.height, encoded.width
  packets = np.frombuffer(encoded.packets, np.uint8)
  if packets.size != encoded.num_frames * height * width * 3 // 2:
    raise DataError("the raw frames are cut short")
  packets = packets.reshape(encoded.num_frames, -1)
  luma = packets[:, : height * width].reshape(-1, height, width)
  chroma = packets[:, height * width :].reshape(-1, height // 2, width // 2, 2)
  rows, columns = window.plane_slices(1)
  chroma_rows, chroma_columns = window.plane_slices(2)
  return Frames(
    luma[:, rows, columns][indices],
    chroma[:, chroma_rows, chroma_columns][indices],
  )


# How each codec stores frames, and how it decodes frames of increasing index.
_ENCODERS: dict[str, Callable[[Iterator[np.ndarray], int, int], _Stream]] = {
  "h264": _encode_h264,
  "raw": _encode_raw,
}
_DECODERS: dict[str, Callable[[Encoded, np.ndarray, Window], Frames]] = {
  "h264": _decode_h264,
  "raw": _decode_raw,
}
