"""Original video files, as upright 8-bit frames of one size and colour space.

Whatever FFmpeg reads comes out the same way: the picture as a player shows it
(the display matrix applied), its short side scaled to a given length, as planar
YUV 4:2:0 in BT.601 limited range. `codec.encode` stores these frames, and
`sources` serves them when a folder of videos is used without preparing it, so
both see the same pixels.

Frame `i` is the `i`-th frame the decoder puts out, whatever its timestamp says.
Pixels count as square: published datasets are often squeezed to 340×256 with
the shape noted beside them, and the field has always trained on the squeezed
picture.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import (
  ColorRange,
  Colorspace,
  Interpolation,
  VideoReformatter,
)
from av.video.stream import VideoStream

from hdc_jax.errors import DataError

DEFAULT_FPS = 25.0  # of streams that do not say

# Bicubic, widened by swscale when it shrinks, hence antialiased. The other
# flags buy the same bytes on every CPU and keep all of the chroma.
_SCALING = (
  Interpolation.BICUBIC
  | Interpolation.ACCURATE_RND
  | Interpolation.BITEXACT
  | Interpolation.FULL_CHR_H_INP
  | Interpolation.FULL_CHR_H_INT
)

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED

# From FFmpeg's AVColorSpace (of a stream) to swscale's constants. RGB (0) needs
# no matrix. Those missing here (YCgCo, ICtCp, …) are not luma and chroma in the
# sense of BT.601 and are refused.
_MATRICES = {
  0: None,
  1: Colorspace.ITU709,
  4: Colorspace.FCC,
  5: Colorspace.ITU601,
  6: Colorspace.ITU601,
  7: Colorspace.SMPTE240M,
  9: Colorspace.BT2020,
  10: Colorspace.BT2020,
}


class Probe(NamedTuple):
  """What a video will look like once read.

  Attributes:
    num_frames: as many as the container holds packets.
    fps: average frames per second, `DEFAULT_FPS` where unknown.
    height: of the upright, scaled frames; even.
    width: of the upright, scaled frames; even.
  """

  num_frames: int
  fps: float
  height: int
  width: int


class Original:
  """One video file, open for reading; a context manager.

  Every error of FFmpeg comes out as a `DataError` that names the file.
  """

  def __init__(self, path: str, short_side: int):
    """Opens the file and finds its main video stream.

    Args:
      path: of a file in any format FFmpeg reads.
      short_side: of the frames to be, in pixels; even.

    Raises:
      DataError: if it cannot be opened or holds no video.
    """
    self.path = path
    self._to_upright = _Normalizer(short_side)
    with self._named("cannot be opened"):
      self._container: InputContainer = av.open(path, metadata_errors="replace")
    stream = self._container.streams.best("video")
    if stream is None:
      self.close()
      raise DataError(f"{path}: has no video stream")
    self._stream: VideoStream = stream
    self._stream.codec_context.thread_count = 1
    # A list of presentation times, one for each frame in order; made by
    # `probe`, empty where times cannot be trusted and every read starts at the
    # first frame.
    self._times: list[int] = []
    self._entries: list[tuple[int, int]] = []  # keyframes: (shown, decoded)

  def close(self) -> None:
    """Closes the file."""
    self._container.close()

  def __enter__(self) -> "Original":
    """Returns itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Closes the file."""
    self.close()

  @property
  def fps(self) -> float:
    """Average frames per second."""
    return float(self._stream.average_rate or DEFAULT_FPS)

  def frames(self) -> Iterator[np.ndarray]:
    """Yields all frames from the first, in order.

    Yields:
      uint8 `[3·H/2, W]`: Y, then U, then V, as FFmpeg's yuv420p.

    Raises:
      DataError: if the stream breaks off; what was yielded before is good.
    """
    for frame in self._decode(None):
      yield self._to_upright(frame)

  def probe(self) -> Probe:
    """Reads the container once, without decoding more than one frame.

    Returns:
      The number, rate and size of the frames.

    Raises:
      DataError: if nothing can be decoded.
    """
    with self._named("cannot be read"):
      packets = [
        (packet.pts, packet.dts, packet.is_keyframe)
        for packet in self._container.demux(self._stream)
        if packet.size and not packet.is_discard
      ]
    first = next(self._decode(None), None)
    if first is None or not packets:
      raise DataError(f"{self.path}: holds no frames")
    # AVI keeps no presentation times, and FFmpeg's guess is wrong for the
    # packed B-frames that UCF101 is made of.
    if self._container.format.name != "avi" and all(
      pts is not None and dts is not None for pts, dts, _ in packets
    ):
      self._times = sorted({pts for pts, _, _ in packets})
      self._entries = [(pts, dts) for pts, dts, key in packets if key]
    rows, width = self._to_upright(first).shape
    return Probe(len(packets), self.fps, rows * 2 // 3, width)

  def read(self, indices: Sequence[int]) -> dict[int, np.ndarray]:
    """Decodes chosen frames, from the nearest keyframe where it can seek.

    Args:
      indices: of frames, increasing, without repeats; after `probe`.

    Returns:
      The frame of each index, uint8 `[3·H/2, W]` as in `frames`.

    Raises:
      DataError: if one of them cannot be decoded.
    """
    found = self._read_by_time(indices) if self._times else None
    if found is None:
      found = self._read_by_count(indices)
    if len(found) < len(indices):
      raise DataError(
        f"{self.path}: frame {min(set(indices) - set(found))} cannot be "
        "decoded; prepare the dataset to leave out what is damaged"
      )
    return found

  def _read_by_count(self, indices: Sequence[int]) -> dict[int, np.ndarray]:
    wanted, last, found = set(indices), max(indices), {}
    for i, frame in enumerate(self._decode(None)):
      if i in wanted:
        found[i] = self._to_upright(frame)
      if i >= last:
        break
    return found

  def _read_by_time(
    self, indices: Sequence[int]
  ) -> dict[int, np.ndarray] | None:
    """As `read`, or None if the decoded times contradict the container's."""
    if max(indices) >= len(self._times):
      return None
    index_of = {self._times[i]: i for i in indices}
    first, last = self._times[min(indices)], self._times[max(indices)]
    starts = [dts for pts, dts in self._entries if pts <= first]
    found: dict[int, np.ndarray] = {}
    before = None
    for frame in self._decode(starts[-1] if starts else None):
      if frame.pts is None or (before is None and starts and frame.pts > first):
        return None
      if before is not None and frame.pts <= before:
        return None
      before = frame.pts
      if frame.pts in index_of:
        found[index_of[frame.pts]] = self._to_upright(frame)
      if frame.pts >= last:
        break
    return found if len(found) == len(indices) else None

  def _decode(self, start: int | None) -> Iterator[av.VideoFrame]:
    """Decodes from the keyframe at or before a decoding time, or the first."""
    count = 0
    with self._named(lambda: f"stops after {count} frames"):
      if start is None:
        start = min(0, self._stream.start_time or 0)
      self._container.seek(start, stream=self._stream)
      for frame in self._container.decode(self._stream):
        yield frame
        count += 1

  @contextlib.contextmanager
  def _named(self, what: object) -> Iterator[None]:
    """Turns what FFmpeg raises into a `DataError` on this file."""
    try:
      yield
    except av.FFmpegError as error:
      doing = what() if callable(what) else what
      reason = error.strerror or str(error)
      raise DataError(f"{self.path}: {doing}: {reason}") from error


class _Normalizer:
  """Decoded frames of one video → upright yuv420p arrays of one size."""

  def __init__(self, short_side: int):
    self._short_side = short_side
    self._size: tuple[int, int] | None = None  # kept if the stream changes its
    self._reformatter = VideoReformatter()

  def __call__(self, frame: av.VideoFrame) -> np.ndarray:
    """Returns uint8 `[3·H/2, W]`."""
    if self._size is None:
      scale = self._short_side / min(frame.width, frame.height)
      self._size = _even(frame.width * scale), _even(frame.height * scale)
    width, height = self._size
    scaled = self._reformatter.reformat(
      frame,
      width,
      height,
      "yuv420p",
      src_colorspace=_matrix(frame),
      dst_colorspace=Colorspace.ITU601,
      # Formats that are always full range (yuvj420p, RGB) say so themselves.
      src_color_range=frame.color_range or ColorRange.UNSPECIFIED,
      dst_color_range=ColorRange.MPEG,
      interpolation=_SCALING,
      threads=1,
    )
    array = scaled.to_ndarray()
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
      return array
    return _turn(array, np.frombuffer(matrix, np.int32).reshape(3, 3))


def split_planes(
  array: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Views of Y, U and V in a yuv420p array.

  Args:
    array: uint8 `[3·H/2, W]`, contiguous.

  Returns:
    uint8 `[H, W]`, `[H/2, W/2]` and `[H/2, W/2]`.
  """
  height, width = array.shape[0] * 2 // 3, array.shape[1]
  u, v = array[height:].reshape(2, height // 2, width // 2)
  return array[:height], u, v


def _turn(array: np.ndarray, matrix: np.ndarray) -> np.ndarray:
  """Turns and mirrors a yuv420p array as the display matrix says.

  The matrix takes column and row `(p, q)` to `(a·p + c·q, b·p + d·q)`. Angles
  between the right ones are rounded to them.
  """
  (a, b), (c, d) = matrix[:2, :2].tolist()
  transpose = abs(b) > abs(a)
  if transpose:
    a, d = c, b
  step_x, step_y = (-1 if a < 0 else 1), (-1 if d < 0 else 1)
  planes = [
    (plane.T if transpose else plane)[::step_y, ::step_x]
    for plane in split_planes(array)
  ]
  width = planes[0].shape[1]
  return np.concatenate([p.ravel() for p in planes]).reshape(-1, width)


def _matrix(frame: av.VideoFrame) -> Colorspace | None:
  """The luma and chroma matrix of a frame, in swscale's terms.

  Streams that do not say are taken for BT.709 from HD on and for BT.601 below,
  as players do.
  """
  if frame.colorspace == _UNSPECIFIED:
    hd = frame.width >= 1280 or frame.height > 576
    return Colorspace.ITU709 if hd else Colorspace.ITU601
  if frame.colorspace not in _MATRICES:
    raise DataError(f"colour space {int(frame.colorspace)} is not supported")
  return _MATRICES[frame.colorspace]


def _even(length: float) -> int:
  return max(2, 2 * round(length / 2))
