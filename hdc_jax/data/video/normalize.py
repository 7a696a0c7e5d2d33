"""Normal form of frames: upright, square pixels, 8 bits, one size and colours.

Choice: pixels are square in the normal form. Where a file states another sample
aspect ratio, the width is scaled by it, so that the picture looks as a player
shows it, and videos of different sources have the same proportions. Published
datasets that are squeezed to 340×256 often state it.
"""

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.sidedata import sidedata
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
# luma and chroma in the sense of BT.601; they raise `UnusableFrameError`.
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


# Sample aspect ratios outside of these bounds are taken for errors, and count
# as 1.
_MAX_ASPECT = 8
# Longest side of a frame, in pixels: what libx264 can encode.
_MAX_SIDE = 16384


class UnusableFrameError(ValueError):
  """A frame has a size or a colour space that cannot be converted."""


def _unknown_side_data(cls: type[sidedata.Type], value: int) -> sidedata.Type:
  """Makes a member of PyAV's list of types of side data.

  FFmpeg has types that PyAV does not list, such as EXIF. Without a member for
  them, no side data can be read from a frame that has some.
  """
  member = object.__new__(cls)
  member._name_, member._value_ = f"UNKNOWN_{value}", value
  return member


sidedata.Type._missing_ = classmethod(_unknown_side_data)  # pyrefly: ignore


class Normalizer:
  """Converts the frames of one video to upright yuv420p arrays of one size.

  Attributes:
    upright_size: Width and height in pixels of the first frame, upright and
      with square pixels, before it is scaled; None before the first frame.
  """

  def __init__(self, short_side: int, sample_aspect: Fraction | None) -> None:
    """Sets the size.

    Args:
      short_side: Short side of the converted frames in pixels; even.
      sample_aspect: Width of a stored pixel, divided by its height; None if
        unknown.
    """
    self.upright_size: tuple[int, int] | None = None
    self._short_side = short_side
    known = sample_aspect is not None and (
      Fraction(1, _MAX_ASPECT) <= sample_aspect <= _MAX_ASPECT
    )
    self._aspect = sample_aspect if known and sample_aspect else Fraction(1)
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
      UnusableFrameError: If its colour space is not supported, or one side is
        much shorter than the other.
    """
    # A buffer, which the stub does not say.
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    matrix = None
    if data is not None:
      matrix = np.frombuffer(data, np.int32).reshape(3, 3)
    if self._size is None:
      self._size = self._choose_size(frame, matrix)
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
    return array if matrix is None else _rotate(array, matrix)

  def _choose_size(
    self, frame: av.VideoFrame, matrix: np.ndarray | None
  ) -> tuple[int, int]:
    """Returns the width and height to scale to, before the rotation."""
    stored = float(frame.width * self._aspect), float(frame.height)
    scale = self._short_side / min(stored)
    width, height = _even(stored[0] * scale), _even(stored[1] * scale)
    if max(width, height) > _MAX_SIDE:
      raise UnusableFrameError(
        f"frames of {frame.width}×{frame.height} would become "
        f"{width}×{height}, longer than {_MAX_SIDE} pixels"
      )
    turned = matrix is not None and _is_transposed(matrix)
    wide, high = map(round, reversed(stored) if turned else stored)
    self.upright_size = wide, high
    return width, height


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
  transpose = _is_transposed(matrix)
  if transpose:
    a, d = c, b
  step_x, step_y = (-1 if a < 0 else 1), (-1 if d < 0 else 1)
  planes = [
    (plane.T if transpose else plane)[::step_y, ::step_x]
    for plane in split_planes(array)
  ]
  width = planes[0].shape[1]
  return np.concatenate([p.ravel() for p in planes]).reshape(-1, width)


def _is_transposed(matrix: np.ndarray) -> bool:
  """Whether a display matrix exchanges rows and columns."""
  a, b = matrix[0, :2].tolist()
  return abs(b) > abs(a)


def _matrix(frame: av.VideoFrame) -> Colorspace | None:
  """Returns swscale's constant for the luma and chroma matrix of a frame.

  Frames without this information are taken for BT.709 if they are HD and for
  BT.601 otherwise, as players do.
  """
  if frame.colorspace == _UNSPECIFIED:
    is_hd = frame.width >= 1280 or frame.height > 576
    return Colorspace.ITU709 if is_hd else Colorspace.ITU601
  if frame.colorspace not in _MATRICES:
    raise UnusableFrameError(
      f"its colour space (AVColorSpace {frame.colorspace}) is not supported"
    )
  return _MATRICES[frame.colorspace]


def _even(length: float) -> int:
  """Rounds a length to an even number of pixels, at least 2."""
  return max(2, 2 * round(length / 2))
