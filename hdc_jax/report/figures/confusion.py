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

_NAMED = 30  # with more classes than this, names are too small to read
_WRITTEN = 12  # with more, so are numbers
_LONGEST = 22  # characters of a name
_CELL, _SMALL_CELL, _SIDE = 30, 16, 400  # in pixels; the last of all cells
_GAP = 6
_COUNTED = MaxNLocator(8, steps=(1, 2, 5, 10), integer=True)
# Halfway between the hues of a light and of a dark page.
_RIGHT, _WRONG = (0x3F, 0x80, 0xEC), (0xEC, 0x82, 0x20)
_LEVELS = 100  # of opacity, for each of the two
_OPAQUE = 0.85  # at most: numbers stay legible

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
  """Draws a matrix, each row as shares of its class.

  Right ones, on the diagonal, have another colour than wrong ones. Opacity goes
  with the square root of the share, so that rare confusions are seen.

  Args:
    matrix: int [C, C], rows true, columns predicted.
    names: [C], of the classes.

  Returns:
    An `<svg>` element to put into a page.

  Raises:
    ValueError: If the matrix is not of these classes.
  """
  _check(matrix, names)
  shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
  count = len(names)
  named = count <= _NAMED
  cell = _CELL if count <= _WRITTEN else _SMALL_CELL if named else _SIDE / count
  if named:
    ticks = {i: text.shorten(name, _LONGEST) for i, name in enumerate(names)}
  else:
    counts = _COUNTED.tick_values(1, count).astype(int)
    ticks = {n - 1: str(n) for n in counts if 1 <= n <= count}
  longest = max(map(len, ticks.values())) * text.CHARACTER
  left, side = longest + _GAP, cell * count
  below = text.LINE + _GAP + (longest / np.sqrt(2) if named else 0)
  width, height = int(left + side + text.LINE), int(side + below)
  # Pixels are averaged where there are more than the page has.
  rendering = "pixelated" if cell > 2 else "auto"
  parts = [
    _CELLS.format(_png(shares), left, side, rendering),
    *_tick_labels(ticks, left, side, cell, slanted=named),
    *(_numbers(shares, left, cell) if count <= _WRITTEN else ()),
  ]
  # Where there are names to read, the drawing does not shrink with the page.
  style = f"{'' if named else 'max-'}width: {width}px; font-size: {text.FONT}px"
  return _SVG.format(width, height, style, markupsafe.Markup("").join(parts))


def per_class(
  matrix: np.ndarray, names: Sequence[str]
) -> list[tuple[str, int, float]]:
  """Name, number and accuracy in per cent of each class, the worst first.

  Classes of which there are none are left out.

  Args:
    matrix: int [C, C], rows true, columns predicted.
    names: [C], of the classes.
  """
  _check(matrix, names)
  counts = matrix.sum(axis=1)
  found = [
    (names[i], int(counts[i]), 100.0 * float(matrix[i, i] / counts[i]))
    for i in np.flatnonzero(counts)
  ]
  return sorted(found, key=lambda row: row[2])


def confused(
  matrix: np.ndarray, names: Sequence[str], count: int = 10
) -> list[tuple[str, str, int, float]]:
  """The most frequent confusions: true, predicted, how many, and per cent.

  Args:
    matrix: int [C, C], rows true, columns predicted.
    names: [C], of the classes.
    count: At most so many are returned, the most frequent first.

  Returns:
    The names of the two classes, how many of the one were taken for the other,
    and how many per cent of the one these are.
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
  """Raises ValueError if the matrix is not of these classes."""
  if matrix.shape != (len(names), len(names)) or not len(names):
    raise ValueError(
      f"the matrix is {list(matrix.shape)} but there are {len(names)} names: "
      "give [C, C] and C names"
    )


def _png(shares: np.ndarray) -> str:
  """Of a pixel for each cell, in base64: small however many classes there are.

  Args:
    shares: float [C, C] in [0, 1].
  """
  levels = np.ceil(np.sqrt(shares) * _LEVELS).astype(np.uint8)
  right = np.eye(len(shares), dtype=bool)
  image = Image.fromarray(np.where(right, levels, levels + _LEVELS + 1))
  colours = np.repeat([_RIGHT, _WRONG], _LEVELS + 1, axis=0).astype(np.uint8)
  image.putpalette(colours.tobytes())
  alpha = np.tile(np.linspace(0, 255 * _OPAQUE, _LEVELS + 1), 2)
  png = io.BytesIO()
  opacity = alpha.astype(np.uint8).tobytes()
  image.save(png, "PNG", optimize=True, transparency=opacity)
  return base64.b64encode(png.getvalue()).decode()


def _tick_labels(
  ticks: Mapping[int, str], left: float, side: float, cell: float, slanted: bool
) -> Iterator[markupsafe.Markup]:
  """Writes names or numbers of classes beside their rows and columns."""
  for i, label in ticks.items():
    middle = (i + 0.5) * cell
    yield _TEXT.format(left - _GAP, 1 + middle, "soft", "end", "", label)
    x, y = left + middle, side + _GAP + text.LINE / 2
    anchor = "end" if slanted else "middle"
    turn = _SLANT.format(x, y) if slanted else ""
    yield _TEXT.format(x, y, "soft", anchor, turn, label)


def _numbers(
  shares: np.ndarray, left: float, cell: float
) -> Iterator[markupsafe.Markup]:
  """Writes the per cents of the cells, where they are not 0."""
  for (row, column), share in np.ndenumerate(shares):
    percent = f"{100 * share:.0f}"
    if percent != "0":
      x, y = left + (column + 0.5) * cell, 1 + (row + 0.5) * cell
      yield _TEXT.format(x, y, "ink", "middle", "", percent)
