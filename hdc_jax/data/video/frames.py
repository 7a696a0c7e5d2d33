"""Decoded frames, and the windows that are cut out of them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from hdc_jax.data.video.normalize import split_planes

# Numbers of frames: a sequence, or an int array [T].
Indices = Sequence[int] | np.ndarray


class Window(NamedTuple):
  """A rectangle of a frame, in luma pixels; all four numbers are even.

  Attributes:
    top: Index of the first row.
    left: Index of the first column.
    height: Number of rows.
    width: Number of columns.
  """

  top: int
  left: int
  height: int
  width: int

  def plane_slices(self, step: int) -> tuple[slice, slice]:
    """Returns the rows and columns of the window in one plane of a frame.

    Args:
      step: Luma pixels per pixel of the plane, in each direction: 1 for luma, 2
        for chroma.

    Returns:
      The slice of rows and the slice of columns.

    Example:
      >>> Window(top=2, left=4, height=6, width=8).plane_slices(2)
      (slice(1, 4, None), slice(2, 6, None))
    """
    top, left, height, width = (number // step for number in self)
    return slice(top, top + height), slice(left, left + width)


class Frames(NamedTuple):
  """Frames in YUV 4:2:0, BT.601, limited range.

  Attributes:
    y: Luma, uint8 `[T, H, W]`.
    uv: Chroma (U and V), uint8 `[T, H/2, W/2, 2]`.
  """

  y: np.ndarray
  uv: np.ndarray


def empty_frames(num_frames: int, window: Window) -> Frames:
  """Allocates frames of the size of a window, to be filled by `copy_window`.

  Args:
    num_frames: Number of frames.
    window: The window; only its size matters.

  Returns:
    Frames `[num_frames, window.height, window.width]` of undefined content.
  """
  return Frames(
    np.empty((num_frames, window.height, window.width), np.uint8),
    np.empty((num_frames, window.height // 2, window.width // 2, 2), np.uint8),
  )


def copy_window(
  planes: Sequence[np.ndarray], window: Window, frames: Frames, i: int
) -> None:
  """Copies a window of one decoded frame into frame `i` of `frames`.

  Args:
    planes: Y `[H, W]`, U and V `[H/2, W/2]`, uint8; wider planes are allowed.
    window: The part to copy.
    frames: The frames to write into, from `empty_frames`.
    i: Index of the frame to write.
  """
  y, u, v = planes
  frames.y[i] = y[window.plane_slices(1)]
  chroma = window.plane_slices(2)
  frames.uv[i, ..., 0] = u[chroma]
  frames.uv[i, ..., 1] = v[chroma]


def crop(arrays: Iterable[np.ndarray], window: Window) -> Frames:
  """Copies a window out of each of several yuv420p arrays.

  Args:
    arrays: One array per frame, uint8 `[3·H/2, W]`: Y, then U, then V.
    window: The part to copy.

  Returns:
    The windows of all frames.
  """
  planes = [split_planes(array) for array in arrays]
  frames = empty_frames(len(planes), window)
  for i, yuv in enumerate(planes):
    copy_window(yuv, window, frames, i)
  return frames


def reordered(parts: Sequence[Frames], order: np.ndarray) -> Frames:
  """Joins frames, and brings them into an order.

  Args:
    parts: Frames of one size; at least one.
    order: For each frame of the result, its index among those of all parts.

  Returns:
    Frames `[len(order), H, W]`.
  """
  y, uv = (
    planes[0] if len(planes) == 1 else np.concatenate(planes)
    for planes in zip(*parts, strict=True)
  )
  if np.array_equal(order, np.arange(len(y))):
    return Frames(y, uv)
  return Frames(y[order], uv[order])


def check_window(window: Window, height: int, width: int) -> None:
  """Checks that a window is even, not empty and within the frame.

  Args:
    window: The window to check.
    height: Height of the frame, in pixels.
    width: Width of the frame, in pixels.

  Raises:
    ValueError: If it is not.

  Example:
    >>> check_window(Window(0, 0, 64, 64), height=128, width=170)
    >>> check_window(Window(0, 0, 65, 64), height=128, width=170)
    Traceback (most recent call last):
      ...
    ValueError: Window(top=0, left=0, height=65, width=64) must be even, not \
empty and within a frame of 128×170
  """
  if (
    any(number % 2 for number in window)
    or not 0 <= window.top <= window.top + window.height <= height
    or not 0 <= window.left <= window.left + window.width <= width
    or not window.height * window.width
  ):
    raise ValueError(
      f"{window} must be even, not empty and within a frame of {height}×{width}"
    )
