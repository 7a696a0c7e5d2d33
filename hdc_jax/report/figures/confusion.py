"""Confusion matrices: which classes are taken for which.

The page's style sheet sets `--ink`, `--soft` and `--rule`, for its light and
its dark mode; the drawing follows it.
"""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence

import markupsafe
import numpy as np
from matplotlib.ticker import MaxNLocator
from PIL import Image

from hdc_jax.report.figures import text

MAX_NAMES = 30  # With more classes, their names are too small to read.
_MAX_PERCENTAGES = 12  # With more classes, percentages are too small to read.
MAX_NAME = 140  # pixels
# In pixels: sides of a cell with a percentage, of a cell with a name, and of
# the whole matrix where there are more classes.
_CELL, _SMALL_CELL, _SIDE = 30, 16, 400
_GAP = 6  # pixels between the matrix and its labels
_CLASS_NUMBERS = MaxNLocator(8, steps=(1, 2, 5, 10), integer=True)
# Colours of correct and of wrong predictions, halfway between the hues of light
# and of dark pages.
_CORRECT, _WRONG = (0x3F, 0x80, 0xEC), (0xEC, 0x82, 0x20)
_LEVELS = 100  # levels of opacity of each of the two
_MAX_OPACITY = 0.85  # so that percentages stay legible

_SVG = markupsafe.Markup(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" style="{}">'
  "{}</svg>"
)
_CELLS = markupsafe.Markup(
  '<image href="data:image/png;base64,{0}" x="{1}" y="1" width="{2}" '
  'height="{2}" style="image-rendering: {3}"/>'
  '<rect x="{1}" y="1" width="{2}" height="{2}" '
  'style="fill: none; stroke: var(--rule)"/>'
)
_TEXT = markupsafe.Markup(
  '<text x="{:.1f}" y="{:.1f}" style="fill: var(--{}); text-anchor: {}; '
  'dominant-baseline: central"{}>{}</text>'
)
_SLANT = markupsafe.Markup(' transform="rotate(-45 {:.1f} {:.1f})"')


def figure(matrix: np.ndarray, names: Sequence[str]) -> markupsafe.Markup:
  """Draws a confusion matrix as the shares of each true class.

  Correct predictions, on the diagonal, and wrong ones have different colours.
  The opacity is proportional to the square root of the share, so that rare
  confusions are visible.

  Args:
    matrix: int [C, C], number of videos by true class (rows) and predicted
      class (columns).
    names: Names of the C classes.

  Returns:
    An `<svg>` element to put into a page.

  Raises:
    ValueError: If the matrix has not a row and a column for each name.
  """
  _check(matrix, names)
  shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
  count = len(names)
  named, with_percentages = count <= MAX_NAMES, count <= _MAX_PERCENTAGES
  cell = _CELL if with_percentages else _SMALL_CELL if named else _SIDE / count
  if named:
    ticks = {i: text.shorten(name, MAX_NAME) for i, name in enumerate(names)}
  else:
    numbers = np.asarray(_CLASS_NUMBERS.tick_values(1, count)).astype(int)
    ticks = {n - 1: str(n) for n in numbers if 1 <= n <= count}
  longest = max(map(text.width, ticks.values()))
  left, side = longest + _GAP, cell * count
  below = text.LINE + _GAP + (longest / np.sqrt(2) if named else 0)
  width, height = int(left + side + text.LINE), int(side + below)
  # Where cells are smaller than pixels of the page, they are averaged.
  rendering = "pixelated" if cell > 2 else "auto"
  parts = [
    _CELLS.format(_png(shares), left, side, rendering),
    *_tick_labels(ticks, left, side, cell, slanted=named),
    *(_percentages(shares, left, cell) if with_percentages else ()),
  ]
  # With names, which are to be read, the drawing does not shrink with the page.
  style = f"{'' if named else 'max-'}width: {width}px; font-size: {text.FONT}px"
  return _SVG.format(width, height, style, markupsafe.Markup("").join(parts))


def per_class(
  matrix: np.ndarray, names: Sequence[str]
) -> list[tuple[str, int, float]]:
  """Lists the accuracy of each class, the lowest first.

  Args:
    matrix: int [C, C], number of videos by true class (rows) and predicted
      class (columns).
    names: Names of the C classes.

  Returns:
    The name, the number of videos and the accuracy in per cent of each class
    that has videos.

  Raises:
    ValueError: If the matrix has not a row and a column for each name.

  Example:
    >>> per_class(np.array([[3, 1], [0, 2]]), ["jump", "run"])
    [('jump', 4, 75.0), ('run', 2, 100.0)]
  """
  _check(matrix, names)
  counts = matrix.sum(axis=1)
  rows = [
    (name, int(count), 100.0 * float(correct / count))
    for name, count, correct in zip(
      names, counts, matrix.diagonal(), strict=True
    )
    if count
  ]
  return sorted(rows, key=lambda row: row[2])


def confused(
  matrix: np.ndarray, names: Sequence[str], count: int = 10
) -> list[tuple[str, str, int, float]]:
  """Lists the most frequent confusions of one class with another.

  Args:
    matrix: int [C, C], number of videos by true class (rows) and predicted
      class (columns).
    names: Names of the C classes.
    count: Greatest number of confusions to list.

  Returns:
    The name of the true class, the name of the predicted class, the number of
    such videos, and their percentage of the true class; the most frequent
    first.

  Raises:
    ValueError: If the matrix has not a row and a column for each name.

  Example:
    >>> confused(np.array([[3, 1], [0, 2]]), ["jump", "run"])
    [('jump', 'run', 1, 25.0)]
  """
  _check(matrix, names)
  wrong = np.where(np.eye(len(names), dtype=bool), 0, matrix)
  order = np.argsort(-wrong, axis=None, kind="stable")[:count]
  pairs = np.stack(np.unravel_index(order, wrong.shape), axis=1)
  totals = matrix.sum(axis=1)
  return [
    (
      names[i],
      names[j],
      int(wrong[i, j]),
      100.0 * float(wrong[i, j] / totals[i]),
    )
    for i, j in pairs
    if wrong[i, j]
  ]


def _check(matrix: np.ndarray, names: Sequence[str]) -> None:
  """Raises ValueError unless the matrix is [C, C] for C ≥ 1 names."""
  if matrix.shape != (len(names), len(names)) or not len(names):
    raise ValueError(
      f"the matrix is {list(matrix.shape)} but there are {len(names)} names: "
      "give [C, C] and C names"
    )


def _png(shares: np.ndarray) -> str:
  """Encodes a PNG with one pixel for each cell, in base64.

  It is small for any number of classes; the page scales it up.

  Args:
    shares: float [C, C], share of each true class in [0, 1].
  """
  levels = np.ceil(np.sqrt(shares) * _LEVELS).astype(np.uint8)
  correct = np.eye(len(shares), dtype=bool)
  image = Image.fromarray(np.where(correct, levels, levels + _LEVELS + 1))
  colours = np.repeat([_CORRECT, _WRONG], _LEVELS + 1, axis=0).astype(np.uint8)
  image.putpalette(colours.tobytes())
  alpha = np.tile(np.linspace(0, 255 * _MAX_OPACITY, _LEVELS + 1), 2)
  png = io.BytesIO()
  opacity = alpha.astype(np.uint8).tobytes()
  image.save(png, "PNG", optimize=True, transparency=opacity)
  return base64.b64encode(png.getvalue()).decode()


def _tick_labels(
  ticks: Mapping[int, str], left: float, side: float, cell: float, slanted: bool
) -> Iterator[markupsafe.Markup]:
  """Writes names or numbers of classes beside their rows and columns.

  Args:
    ticks: Label of each class that has one, by the index of the class.
    left: Left edge of the matrix in pixels.
    side: Side of the matrix in pixels.
    cell: Side of a cell in pixels.
    slanted: Whether the labels of columns are slanted.
  """
  for i, label in ticks.items():
    middle = (i + 0.5) * cell
    yield _TEXT.format(left - _GAP, 1 + middle, "soft", "end", "", label)
    x, y = left + middle, side + _GAP + text.LINE / 2
    anchor = "end" if slanted else "middle"
    turn = _SLANT.format(x, y) if slanted else ""
    yield _TEXT.format(x, y, "soft", anchor, turn, label)


def _percentages(
  shares: np.ndarray, left: float, cell: float
) -> Iterator[markupsafe.Markup]:
  """Writes the rounded percentage of each cell where it is not 0."""
  for (row, column), share in np.ndenumerate(shares):
    percent = f"{100 * share:.0f}"
    if percent != "0":
      x, y = left + (column + 0.5) * cell, 1 + (row + 0.5) * cell
      yield _TEXT.format(x, y, "ink", "middle", "", percent)
