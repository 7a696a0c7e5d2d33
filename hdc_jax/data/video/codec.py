"""Encoded videos, and how to get at single frames of them fast.

A video is kept as H.264 packets with the position of each, so that a clip costs
one codec context and the frames from the last keyframe on: no container is
parsed and nothing is converted to RGB. The frames leave here as the codec makes
them, in YUV 4:2:0; the device converts them.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from hdc_jax.data.video import h264
from hdc_jax.data.video.normalize import split_planes
from hdc_jax.data.video.originals import Original
from hdc_jax.errors import ConfigError, DataError

CODECS = ("h264", "raw")


class Window(NamedTuple):
  """A part of a frame, in luma pixels; all four are even.

  Attributes:
    top: first row.
    left: first column.
    height: number of rows.
    width: number of columns.
  """

  top: int
  left: int
  height: int
  width: int


class Frames(NamedTuple):
  """Frames in YUV 4:2:0, BT.601, limited range.

  Attributes:
    y: uint8 `[T, H, W]`.
    uv: uint8 `[T, H/2, W/2, 2]`.
  """

  y: np.ndarray
  uv: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Encoded:
  """The frames of one video with the position of each frame's bytes.

  Attributes:
    codec: 'h264' or 'raw'.
    fps: frames per second.
    height: of a frame, even.
    width: of a frame, even.
    extradata: parameter sets of h264 (Annex B); empty for raw.
    packets: one packet per frame, concatenated in order. A raw packet is Y
      `[H, W]` followed by UV `[H/2, W/2, 2]`.
    offsets: int64 `[num_frames + 1]`, where each packet begins and the last
      ends.
    keyframes: bool `[num_frames]`, where decoding can begin.
  """

  codec: str
  fps: float
  height: int
  width: int
  extradata: bytes
  packets: bytes
  offsets: np.ndarray
  keyframes: np.ndarray

  @property
  def num_frames(self) -> int:
    """Number of frames."""
    return len(self.keyframes)


def encode(path: str, *, codec: str = "h264", short_side: int = 128) -> Encoded:
  """Re-encodes a video file for training.

  The frames are those of `originals`: upright, with the given short side, in
  BT.601 limited range. h264 streams, holding a few frames at a time; raw holds
  the decoded video.

  Args:
    path: of a file in any format FFmpeg reads.
    codec: 'h264', or 'raw' for exact frames at some thirty times the bytes.
    short_side: of the frames, in pixels; even.

  Returns:
    All frames of the video.

  Raises:
    ConfigError: on an unknown codec or an odd short side.
    DataError: if the file cannot be read to its end; names it and the reason.
  """
  check_settings(codec, short_side)
  with Original(path, short_side) as original:
    frames = original.frames()
    first = next(frames, None)
    if first is None:
      raise DataError(f"{path}: holds no frames")
    rows, width = first.shape
    height = rows * 2 // 3
    frames = itertools.chain([first], frames)
    extradata, stream = _ENCODERS[codec](frames, height, width)
    packets, keyframes = zip(*stream, strict=True)
    return Encoded(
      codec=codec,
      fps=original.fps,
      height=height,
      width=width,
      extradata=extradata,
      packets=b"".join(packets),
      offsets=np.cumsum([0, *map(len, packets)], dtype=np.int64),
      keyframes=np.array(keyframes, bool),
    )


def check_settings(codec: str, short_side: int) -> None:
  """Raises a ConfigError on what `encode` cannot do."""
  if codec not in CODECS:
    raise ConfigError(f"codec {codec!r} is not one of {', '.join(CODECS)}")
  if short_side < 16 or short_side % 2:
    raise ConfigError(f"short_side={short_side} must be even and at least 16")


def decode(encoded: Encoded, indices: Sequence[int], window: Window) -> Frames:
  """Decodes chosen frames and copies a window out of each.

  Each frame on the way is decoded once, however often and in whatever order it
  is asked for; stretches between keyframes that hold no wanted frame are
  skipped. Safe to call from many threads: each keeps a decoder of its own.

  Args:
    encoded: the video.
    indices: `[T]` frames, in any order, with repeats: a short video that loops
      is 0, 1, 2, 0, 1, 2, ….
    window: the part of each frame to return.

  Returns:
    The frames in the order asked for, `[T, window.height, window.width]`.

  Raises:
    IndexError: if an index is not that of a frame.
    ValueError: if the window is odd, empty or leaves the frame.
    DataError: if the bytes cannot be decoded.
  """
  check_window(window, encoded.height, encoded.width)
  wanted, order = unique_frames(indices, encoded.num_frames)
  frames = _DECODERS[encoded.codec](encoded, wanted, window)
  if np.array_equal(order, np.arange(len(wanted))):
    return frames
  return Frames(frames.y[order], frames.uv[order])


def unique_frames(
  indices: Sequence[int], num_frames: int
) -> tuple[np.ndarray, np.ndarray]:
  """The frames to decode for a list of indices.

  Args:
    indices: `[T]`, in any order, with repeats.
    num_frames: of the video.

  Returns:
    wanted: int64 `[U]`, the indices, increasing, without repeats.
    order: int64 `[T]` such that `wanted[order]` are the indices.

  Raises:
    IndexError: if there are none, or one is not that of a frame.
  """
  wanted, order = np.unique(np.asarray(indices, np.int64), return_inverse=True)
  if not wanted.size:
    raise IndexError("no frames were asked for")
  if wanted[0] < 0 or wanted[-1] >= num_frames:
    raise IndexError(f"frames {wanted[0]} to {wanted[-1]} of {num_frames}")
  return wanted, order


def check_window(window: Window, height: int, width: int) -> None:
  """Raises a ValueError unless the window is even and within the frame."""
  if (
    any(number % 2 for number in window)
    or not 0 <= window.top <= window.top + window.height <= height
    or not 0 <= window.left <= window.left + window.width <= width
    or not window.height * window.width
  ):
    raise ValueError(
      f"{window} must be even and within a frame of {height}×{width}"
    )


def crop(frames: Iterable[np.ndarray], window: Window) -> Frames:
  """Copies a window out of yuv420p arrays.

  Args:
    frames: each uint8 `[3·H/2, W]`, as in `originals`.
    window: the part to copy.

  Returns:
    The windows, stacked.
  """
  planes = [split_planes(frame) for frame in frames]
  out = _empty(len(planes), window)
  for i, yuv in enumerate(planes):
    _copy(yuv, window, out, i)
  return out


# Extradata, and a packet for each frame with whether it is a keyframe.
_Stream = tuple[bytes, Iterator[tuple[bytes, bool]]]


def _encode_h264(
  frames: Iterator[np.ndarray], height: int, width: int
) -> _Stream:
  encoder = h264.Encoder(height, width)
  return encoder.extradata, encoder.packets(frames)


def _encode_raw(
  frames: Iterator[np.ndarray], height: int, width: int
) -> _Stream:
  return b"", ((_pack_raw(frame), True) for frame in frames)


def _pack_raw(frame: np.ndarray) -> bytes:
  y, u, v = split_planes(frame)
  return y.tobytes() + np.stack([u, v], axis=-1).tobytes()


def _decode_h264(
  encoded: Encoded, wanted: np.ndarray, window: Window
) -> Frames:
  out = _empty(len(wanted), window)
  frames = h264.decode(
    encoded.extradata,
    encoded.packets,
    encoded.offsets,
    encoded.keyframes,
    wanted,
  )
  for i, planes in enumerate(frames):
    _copy(planes, window, out, i)
  return out


def _decode_raw(encoded: Encoded, wanted: np.ndarray, window: Window) -> Frames:
  height, width = encoded.height, encoded.width
  packets = np.frombuffer(encoded.packets, np.uint8)
  if packets.size != encoded.num_frames * height * width * 3 // 2:
    raise DataError("the raw frames are cut short")
  packets = packets.reshape(encoded.num_frames, -1)
  luma = packets[:, : height * width].reshape(-1, height, width)
  chroma = packets[:, height * width :].reshape(-1, height // 2, width // 2, 2)
  rows, columns = _slices(window, 1)
  rows_2, columns_2 = _slices(window, 2)
  return Frames(
    luma[:, rows, columns][wanted], chroma[:, rows_2, columns_2][wanted]
  )


def _empty(count: int, window: Window) -> Frames:
  return Frames(
    np.empty((count, window.height, window.width), np.uint8),
    np.empty((count, window.height // 2, window.width // 2, 2), np.uint8),
  )


def _copy(
  planes: Sequence[np.ndarray], window: Window, out: Frames, i: int
) -> None:
  y, u, v = planes
  out.y[i] = y[_slices(window, 1)]
  chroma = _slices(window, 2)
  out.uv[i, ..., 0] = u[chroma]
  out.uv[i, ..., 1] = v[chroma]


def _slices(window: Window, step: int) -> tuple[slice, slice]:
  """Rows and columns of the window in a plane with every `step`-th pixel."""
  top, left, height, width = (number // step for number in window)
  return slice(top, top + height), slice(left, left + width)


# How each codec stores frames, and gives back increasing ones.
_ENCODERS: dict[str, Callable[[Iterator[np.ndarray], int, int], _Stream]] = {
  "h264": _encode_h264,
  "raw": _encode_raw,
}
_DECODERS: dict[str, Callable[[Encoded, np.ndarray, Window], Frames]] = {
  "h264": _decode_h264,
  "raw": _decode_raw,
}
