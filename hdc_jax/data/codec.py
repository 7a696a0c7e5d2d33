"""Encoded videos, and how to get at single frames of them fast.

A video is kept as H.264 packets with the position of each, so that a clip costs
one codec context and the frames from the last keyframe on: no container is
parsed and nothing is converted to RGB. The frames leave here as the codec makes
them, in YUV 4:2:0; the device converts them.
"""

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from av.codec.context import Flags

from hdc_jax.data.originals import Original, split_planes
from hdc_jax.errors import ConfigError, DataError

GOP = 16  # frames from one keyframe to the next

# Chosen on real clips at short side 128, for training rather than for viewing:
# - crf 22 keeps every clip at 38 dB or more (0.3 to 1.5 KB a frame);
# - 'psnr' spends the bits on fidelity, not on grain that looks sharp: 15 %
#   fewer bytes at the same PSNR;
# - without CABAC and the deblocking filter the decoder, which is what limits a
#   host, takes half the time, for 5 % more bytes.
# One thread and no CPU-dependent choices: the same bytes on any machine.
_X264 = {
  "preset": "medium",
  "tune": "psnr",
  "crf": "22",
  "x264-params": ":".join((
    f"keyint={GOP}:min-keyint={GOP}:scenecut=0:open-gop=0:bframes=0",
    "cabac=0:no-deblock=1",
    "threads=1:cpu-independent=1",
  )),
}

_PADDING = bytes(64)  # decoders may read this far past a packet's end


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

  The frames are those of `originals`: upright, with the given short side, BT.601
  limited range. h264 streams, holding a few frames at a time; raw holds the
  decoded video.

  Args:
    path: of a file in any format FFmpeg reads.
    codec: 'h264', or 'raw' for exact frames at some fifty times the bytes.
    short_side: of the frames, in pixels; even.

  Returns:
    All frames of the video.

  Raises:
    ConfigError: on an unknown codec or an odd short side.
    DataError: if the file cannot be read to its end; names it and the reason.
  """
  if codec not in _ENCODERS:
    raise ConfigError(f"codec {codec!r} is not one of {', '.join(_ENCODERS)}")
  if short_side < 16 or short_side % 2:
    raise ConfigError(f"short_side={short_side} must be even and at least 16")
  with Original(path, short_side) as original:
    packer = _ENCODERS[codec](original.frames())
    first = next(packer, None)
    if first is None:
      raise DataError(f"{path}: holds no frames")
    height, width, extradata = first
    packets, keyframes = zip(*packer, strict=True)
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


def decode(
  encoded: Encoded, indices: Sequence[int], window: Window
) -> Frames:
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
  wanted, order = np.unique(
    np.asarray(indices, np.int64), return_inverse=True
  )
  if not wanted.size:
    raise IndexError("no frames were asked for")
  if wanted[0] < 0 or wanted[-1] >= encoded.num_frames:
    raise IndexError(
      f"frames {wanted[0]} to {wanted[-1]} of {encoded.num_frames}"
    )
  frames = _DECODERS[encoded.codec](encoded, wanted, window)
  if np.array_equal(order, np.arange(len(wanted))):
    return frames
  return Frames(frames.y[order], frames.uv[order])


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


# --- encoders: yield (height, width, extradata), then (packet, is key) ----


def _encode_h264(frames: Iterator[np.ndarray]) -> Iterator[tuple]:
  encoder = None
  for number, array in enumerate(frames):
    if encoder is None:
      encoder = _open_encoder(array.shape[0] * 2 // 3, array.shape[1])
      yield encoder.height, encoder.width, encoder.extradata
    frame = av.VideoFrame.from_ndarray(array, "yuv420p")
    frame.pts = number
    yield from ((bytes(p), p.is_keyframe) for p in encoder.encode(frame))
  if encoder is not None:
    yield from ((bytes(p), p.is_keyframe) for p in encoder.encode(None))


def _open_encoder(height: int, width: int) -> av.VideoCodecContext:
  encoder = av.CodecContext.create("libx264", "w")
  encoder.height, encoder.width, encoder.pix_fmt = height, width, "yuv420p"
  # Not the video's rate: the rate control spends fewer bits on a frame that
  # shows for a shorter time, and training does not.
  encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
  encoder.thread_count = 1
  # Parameter sets once, in extradata, instead of before each keyframe.
  encoder.flags |= Flags.global_header
  encoder.options = dict(_X264)
  encoder.open()
  return encoder


def _encode_raw(frames: Iterator[np.ndarray]) -> Iterator[tuple]:
  for number, array in enumerate(frames):
    y, u, v = split_planes(array)
    if not number:
      yield *y.shape, b""
    yield y.tobytes() + np.stack([u, v], axis=-1).tobytes(), True


# --- decoders: increasing frames → Frames --------------------------------


def _decode_raw(
  encoded: Encoded, wanted: np.ndarray, window: Window
) -> Frames:
  height, width = encoded.height, encoded.width
  packets = np.frombuffer(encoded.packets, np.uint8)
  if packets.size != encoded.num_frames * height * width * 3 // 2:
    raise DataError("the raw frames are cut short")
  packets = packets.reshape(encoded.num_frames, -1)
  luma = packets[:, : height * width].reshape(-1, height, width)
  chroma = packets[:, height * width :].reshape(-1, height // 2, width // 2, 2)
  top, left, h, w = window
  return Frames(
    luma[:, top : top + h, left : left + w][wanted],
    chroma[:, top // 2 : (top + h) // 2, left // 2 : (left + w) // 2][wanted],
  )


def _decode_h264(
  encoded: Encoded, wanted: np.ndarray, window: Window
) -> Frames:
  keys = np.flatnonzero(encoded.keyframes)
  starts = keys[np.searchsorted(keys, wanted, side="right") - 1]
  begin = encoded.offsets[starts[0]]
  end = encoded.offsets[wanted[-1] + 1]
  data = memoryview(encoded.packets[begin:end] + _PADDING)
  offsets = encoded.offsets - begin
  out = _empty(len(wanted), window)
  decoder = _decoder()
  try:
    position = -1  # of the next packet; none yet
    for i, (index, start) in enumerate(
      zip(wanted.tolist(), starts.tolist(), strict=True)
    ):
      if start > position:
        decoder.flush_buffers()
        position = start
      ...
  except av.FFmpegError as error:
    _LOCAL.decoder = None
    raise DataError(f"cannot be decoded: {error.strerror}") from error
  return out
