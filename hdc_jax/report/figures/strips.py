"""A grid of strips of frames with captions, as of the views of videos."""

from collections.abc import Sequence

import numpy as np
from etils import epath

from hdc_jax.report.figures import canvas

_SIDE = 96
_CAPTION, _GAP = 40, 26


def draw(
  rows: Sequence[Sequence[np.ndarray]],
  captions: Sequence[str],
  path: epath.PathLike,
) -> None:
  """Draws a strip for each cell of a grid.

  Args:
    rows: Of each row, for each column the frames of a strip, uint8 RGB [n, H,
      W, 3]; all of one number and size.
    captions: Of the columns.
    path: Of the PNG to write. Its background is transparent.

  Raises:
    ValueError: If rows and captions do not make a grid.
  """
  shots = [strip for row in rows for strip in row]
  if not shots or any(len(row) != len(captions) for row in rows):
    raise ValueError("give at least one row, and a strip for each caption")
  strips, palette = canvas.strips(shots, _SIDE)
  height, width = strips.shape[1:]
  lefts = [i * (width + _GAP) for i in range(len(captions))]
  tops = [_CAPTION + i * (height + _GAP // 2) for i in range(len(rows))]
  sheet = canvas.Canvas((lefts[-1] + width, tops[-1] + height), palette)
  for left, caption in zip(lefts, captions, strict=True):
    sheet.text(left, _CAPTION / 2, caption, width)
  for i, strip in enumerate(strips):
    row, column = divmod(i, len(captions))
    sheet.paste(lefts[column], tops[row], strip)
  sheet.write(path)
