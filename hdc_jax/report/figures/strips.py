"""A grid of strips of frames with captions, for the views of videos."""

from collections.abc import Sequence

import numpy as np
from etils import epath

from hdc_jax.report.figures import canvas

# Sizes in pixels: height of the frames, height of a caption, and gap between
# columns.
_SIDE = 96
_CAPTION, _GAP = 40, 26
_NAME = 170  # width of the names of rows


def draw(
  rows: Sequence[Sequence[np.ndarray]],
  captions: Sequence[str],
  path: epath.PathLike,
  names: Sequence[str] = (),
) -> None:
  """Draws a grid with a strip of frames in each cell.

  Args:
    rows: For each row and each column the frames of a strip, RGB uint8
      [n, H, W, 3], all of the same shape.
    captions: Captions of the columns.
    path: Path of the PNG to write. Its background is transparent.
    names: Names of the rows, at the left; none if rows have no names.

  Raises:
    ValueError: If there is no row, if a row has not a strip for each caption,
      or if there are names, but not for each row.
  """
  shots = [strip for row in rows for strip in row]
  if not shots or any(len(row) != len(captions) for row in rows):
    raise ValueError("give at least one row, and a strip for each caption")
  if names and len(names) != len(rows):
    raise ValueError("give a name to each row, or to none")
  strips, palette = canvas.strips(shots, _SIDE)
  height, width = strips.shape[1:]
  first = _NAME if names else 0
  lefts = [first + i * (width + _GAP) for i in range(len(captions))]
  tops = [_CAPTION + i * (height + _GAP // 2) for i in range(len(rows))]
  sheet = canvas.Canvas((lefts[-1] + width, tops[-1] + height), palette)
  for left, caption in zip(lefts, captions, strict=True):
    sheet.text(left, _CAPTION / 2, caption, width)
  for top, name in zip(tops, names, strict=False):
    sheet.text(0, top + height / 2, name, _NAME - _GAP / 2)
  for i, strip in enumerate(strips):
    row, column = divmod(i, len(captions))
    sheet.paste(lefts[column], tops[row], strip)
  sheet.write(path)
