"""Contact sheets: queries and their nearest neighbours, as in HDC's Fig. 1."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from etils import epath

from hdc_jax.report.figures import canvas

# Sizes in pixels. Pages show a sheet at about half its size, for sharpness
# on dense screens.
_SIDE = 64  # height of the frames
_COLUMN_GAP, _QUERY_GAP = 26, 58
_CAPTION, _ROW_GAP, _HEADER = 40, 22, 40


@dataclasses.dataclass(frozen=True)
class Shot:
  """A video, or a segment of it, as a strip of frames.

  Attributes:
    frames: RGB uint8 [n, H, W, 3], shown side by side.
    caption: Text below the strip, such as the class.
  """

  frames: np.ndarray
  caption: str


@dataclasses.dataclass(frozen=True)
class Match:
  """One row of a contact sheet.

  Attributes:
    query: The query.
    neighbours: Its nearest neighbours, the nearest first.
    correct: Whether each neighbour has the class of the query.
  """

  query: Shot
  neighbours: Sequence[Shot]
  correct: Sequence[bool]


def contact_sheet(matches: Sequence[Match], path: epath.PathLike) -> None:
  """Draws queries at the left, each with its neighbours to the right of it.

  Correct neighbours have a thick green border and a check mark, wrong ones a
  thin red border and a cross, so that they differ in more than colour.

  Args:
    matches: Rows of the sheet, with the same number of neighbours; all shots
      have the same number of frames, of the same size.
    path: Path of the PNG to write. Its background is transparent.

  Raises:
    ValueError: If there is nothing to draw, or the counts or sizes differ.
  """
  _check(matches)
  shots = [s for m in matches for s in (m.query, *m.neighbours)]
  strips, palette = canvas.strips([shot.frames for shot in shots], _SIDE)
  height, width = strips.shape[1:]
  border = canvas.BORDER
  columns = 1 + len(matches[0].neighbours)
  lefts = border + np.arange(columns) * (width + 2 * border + _COLUMN_GAP)
  lefts[1:] += _QUERY_GAP - _COLUMN_GAP
  row_height = height + 2 * border + _CAPTION
  tops = _HEADER + border + np.arange(len(matches)) * (row_height + _ROW_GAP)
  size = lefts[-1] + width + border, tops[-1] + height + border + _CAPTION

  sheet = canvas.Canvas(size, palette)
  for column, left in enumerate(lefts):
    sheet.text(left, _HEADER / 2, _header(column), width)
  corners = itertools.product(tops, lefts)
  # None for queries.
  correct = [c for m in matches for c in (None, *m.correct)]
  for (top, left), strip, shot, is_correct in zip(
    corners, strips, shots, correct, strict=True
  ):
    sheet.paste(left, top, strip)
    middle = top + height + border + _CAPTION / 2
    if is_correct is None:
      sheet.text(left, middle, shot.caption, width)
    else:
      sheet.border(left, top, width, height, is_correct)
      sheet.verdict(left, middle, shot.caption, width, is_correct)
  sheet.write(path)


def _check(matches: Sequence[Match]) -> None:
  """Raises ValueError unless the matches form a grid of equal strips."""
  if not matches or not all(m.neighbours for m in matches):
    raise ValueError("give at least one match, and neighbours to each")
  counts = {len(m.neighbours) for m in matches}
  if len(counts) > 1:
    raise ValueError(
      f"matches have {sorted(counts)} neighbours: give each the same number"
    )
  for match in matches:
    if len(match.correct) != len(match.neighbours):
      raise ValueError(
        f"{len(match.neighbours)} neighbours of {match.query.caption!r} but "
        f"{len(match.correct)} values in correct: give one for each"
      )
  frames = [s.frames for m in matches for s in (m.query, *m.neighbours)]
  for array in frames:
    rgb = array.ndim == 4 and array.shape[3] == 3
    if array.dtype != np.uint8 or not rgb or not array.size:
      raise ValueError(
        f"frames are {array.dtype} {list(array.shape)}: give uint8 [n, H, W, 3]"
      )
  shapes = {array.shape[:3] for array in frames}
  if len(shapes) > 1:
    raise ValueError(
      f"shots have frames [n, H, W] of {sorted(shapes)}: give every shot the "
      "same number of frames, of one size"
    )


def _header(column: int) -> str:
  """The head of a column: 'query', '1st', '2nd' and so on."""
  if not column:
    return "query"
  teen = 10 < column % 100 < 20
  suffix = "th" if teen else {1: "st", 2: "nd", 3: "rd"}.get(column % 10, "th")
  return f"{column}{suffix}"
