"""Normal form of frames: upright, 8 bits, one size, one colour space."""

from typing import Any

import av
import numpy as np
from av.video.reformatter import (
  ColorRange,
  Colorspace,
  Interpolation,
  VideoReformatter,
)

# Bicubic interpolation, whose kernel swscale widens when it shrinks a frame, so
# that the result is antialiased. The other flags give the same bytes on every
# CPU and use all of the chroma.
_SCALING = (
  Interpolation.BICUBIC
  | Interpolation.ACCURATE_RND
  | Interpolation.BITEXACT
  | Interpolation.FULL_CHR_H_INP
  | Interpolation.FULL_CHR_H_INT
)

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED

# From FFmpeg's AVColorSpace (of a stream) to swscale's constants. RGB (0) needs
# no matrix. The colour spaces that are missing here (YCgCo, ICtCp, …) are not
# luma and chroma in the sense of BT.601; they raise `UnknownMatrixError`.
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
  """The colour space of a stream cannot be converted to BT.601."""


class Normalizer:
  """Converts the frames of one video to upright yuv420p arrays of one size."""

  def __init__(self, short_side: int) -> None:
    """Sets the size.

    Args:
      short_side: Short side of the converted frames in pixels; even.
    """
    self._short_side = short_side
    # Width and height before the rotation. The first frame decides; they stay
    # even if the stream changes its size.
    self._size: tuple[int, int] | None = None
    self._reformatter = VideoReformatter()

  def __call__(self, frame: av.VideoFrame) -> np.ndarray:
    """Converts one frame.

    Args:
      frame: A decoded frame. The first one decides the size of all.

    Returns:
      uint8 `[3·H/2, W]`: Y, then U, then V, as in FFmpeg's yuv420p.

    Raises:
      UnknownMatrixError: If its colour space is not supported.
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
      # swscale knows the formats that are always full range (yuvj420p, RGB).
      src_color_range=frame.color_range or ColorRange.UNSPECIFIED,
      dst_color_range=ColorRange.MPEG,
      interpolation=_SCALING,
      threads=1,
    )
    array = scaled.to_ndarray()
    # A buffer, which the stub does not say.
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
      return array
    return _rotate(array, np.frombuffer(matrix, np.int32).reshape(3, 3))


def split_planes(
  array: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns the planes of a yuv420p array, as views.

  Args:
    array: A contiguous frame, uint8 `[3·H/2, W]`: Y, then U, then V.

  Returns:
    Y, U and V: uint8 `[H, W]`, `[H/2, W/2]` and `[H/2, W/2]`.

  Example:
    >>> y, u, v = split_planes(np.zeros((6, 8), np.uint8))
    >>> y.shape, u.shape, v.shape
    ((4, 8), (2, 4), (2, 4))
  """
  height, width = array.shape[0] * 2 // 3, array.shape[1]
  u, v = array[height:].reshape(2, height // 2, width // 2)
  return array[:height], u, v


def _rotate(array: np.ndarray, matrix: np.ndarray) -> np.ndarray:
  """Rotates and mirrors a yuv420p array by its display matrix.

  The matrix maps column and row `(p, q)` to `(a·p + c·q, b·p + d·q)`. Angles
  are rounded to multiples of 90°.
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
  """Returns swscale's constant for the luma and chroma matrix of a frame.

  Frames without this information are taken for BT.709 if they are HD and for
  BT.601 otherwise, as players do.
  """
  if frame.colorspace == _UNSPECIFIED:
    is_hd = frame.width >= 1280 or frame.height > 576
    return Colorspace.ITU709 if is_hd else Colorspace.ITU601
  if frame.colorspace not in _MATRICES:
    raise UnknownMatrixError(
      f"its colour space (AVColorSpace {frame.colorspace}) is not supported"
    )
  return _MATRICES[frame.colorspace]


def _even(length: float) -> int:
  """Rounds a length to an even number of pixels, at least 2."""
  return max(2, 2 * round(length / 2))
