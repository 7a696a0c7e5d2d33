"""Decoded frames of any kind → upright 8-bit frames of one size and colours."""

import av
import numpy as np
from av.video.reformatter import (
  ColorRange,
  Colorspace,
  Interpolation,
  VideoReformatter,
)

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


class UnknownMatrixError(ValueError):
  """A stream's colour space is none of `_MATRICES`."""


class Normalizer:
  """Decoded frames of one video → upright yuv420p arrays of one size."""

  def __init__(self, short_side: int) -> None:
    """Scales to a short side, in pixels; even."""
    self._short_side = short_side
    self._size: tuple[int, int] | None = None  # kept if the stream changes its
    self._reformatter = VideoReformatter()

  def __call__(self, frame: av.VideoFrame) -> np.ndarray:
    """Converts one frame.

    Args:
      frame: as decoded; the first decides the size of all.

    Returns:
      uint8 `[3·H/2, W]`: Y, then U, then V, as FFmpeg's yuv420p.

    Raises:
      UnknownMatrixError: if its colour space is not supported.
    """
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
    raise UnknownMatrixError(
      f"its colour space ({frame.colorspace}) is unknown"
    )
  return _MATRICES[frame.colorspace]


def _even(length: float) -> int:
  return max(2, 2 * round(length / 2))
