"""The canvas: the square that the host cuts out of each frame of a clip.

All clips of a batch have one shape, whatever the shapes of the videos. So the
canvas follows from the options and the short side of the dataset's frames. A
frame that is smaller than the canvas is padded, and of a larger one a square at
a random place is cut out. Nothing is scaled on the host.
"""

import math
from collections.abc import Callable, Sequence

from hdc_jax.data.options import Clips

# A function of the height and width of a picture to the smallest and largest
# area of a crop of it, in pixels.
Areas = Callable[[float, float], tuple[float, float]]

# The widest frame that is kept whole, width over height. Choice: nearly all
# videos are at most so wide, and a wider canvas costs all others more padding.
_WIDEST = 16 / 9
# The side of a view of HDC and CVRL over the short side of the frames: 112 of
# 128 and 224 of 256 pixels.
_VIEW = 7 / 8


def side(clips: Clips, short_side: int) -> int:
  """The side of the canvas.

  Args:
    clips: How clips are cut.
    short_side: Short side of the dataset's frames in pixels, even.

  Returns:
    Pixels, even.

  >>> side(Clips(), 128), side(Clips(part="frame"), 256)
  (128, 456)
  >>> side(Clips(canvas=96), 128)
  96
  """
  if clips.canvas:
    return clips.canvas
  return short_side if clips.part == "square" else _even(short_side * _WIDEST)


def short_side_for(clips: Clips, size: int, test_size: int = 0) -> int:
  """The short side to which frames are scaled if no dataset decides it.

  Args:
    clips: How clips are cut.
    size: Height and width of the views of a network, in pixels.
    test_size: Height and width of the crops of its test, if they differ.

  Returns:
    Pixels, even: the canvas if the options name one, or else as much more than
    the views as in the recipes of HDC and CVRL.

  >>> short_side_for(Clips(), 112), short_side_for(Clips(), 224)
  (128, 256)
  """
  return clips.canvas or max(_even(size / _VIEW), test_size)


def shown_window(clips: Clips, size: int, short_side: int) -> int:
  """The side of the windows of frames that a test shows to a network.

  Args:
    clips: How clips are cut.
    size: Height and width of the views of the network, in pixels.
    short_side: Short side of the dataset's frames in pixels, even.

  Returns:
    Pixels: as many as the network sees if the options name the canvas in
    pixels; or else 7/8 of the short side, which are then scaled to `size`, so
    that a test shows things as large as the training did.

  >>> [shown_window(Clips(), 112, short_side) for short_side in (112, 128, 256)]
  [112, 112, 224]
  """
  if clips.canvas:
    return size
  return max(size, 2 * round(short_side * _VIEW / 2))


def _even(pixels: float) -> int:
  """The least even number that is not below."""
  return 2 * math.ceil(round(pixels / 2, 6))


def describe(clips: Clips, short_side: int, areas: Sequence[Areas]) -> str:
  """Says what part of a frame clips show, for the log.

  Args:
    clips: How clips are cut.
    short_side: Short side of the dataset's frames in pixels, even.
    areas: For each view, the areas of its crops.

  Returns:
    A line without its end.

  >>> def half_or_all(height, width):
  ...   return height * width / 2, height * width
  >>> print(describe(Clips(canvas=128), 256, [half_or_all]).split(" (")[0])
  a clip sees 9 % to 19 % of a 4:3 frame, 7 % to 14 % of a 16:9 frame
  """
  canvas = side(clips, short_side)
  shares = []
  for name, aspect in (("4:3", 4 / 3), ("16:9", _WIDEST)):
    height, width = short_side, short_side * aspect
    picture = float(min(canvas, height)), float(min(canvas, width))
    lows, highs = zip(*(crop(*picture) for crop in areas), strict=True)
    low, high = (
      f"{100 * area / (height * width):.0f} %"
      for area in (min(lows), max(highs))
    )
    shares.append(f"{f'{low} to {high}' if low != high else low} of a {name}")
  return (
    f"a clip sees {' frame, '.join(shares)} frame (a canvas of {canvas} "
    f"pixels, frames with a short side of {short_side})"
  )
