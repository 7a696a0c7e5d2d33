"""Contact sheets: queries and their nearest neighbours, as in HDC's Fig. 1."""

import dataclasses
import io
import itertools
from collections.abc import Sequence

import numpy as np
from etils import epath
from PIL import Image, ImageDraw, ImageFont

# In pixels. Pages show a sheet at about half its size: crisp on dense screens.
_SIDE = 64  # height of the frames
_FRAME_GAP = 2
_BORDER = 6
_COLUMN_GAP, _QUERY_GAP = 26, 58
_CAPTION, _ROW_GAP, _HEADER = 40, 22, 40
_FONT, _MARK = 23, 24
_SMOOTH = 3  # inks are drawn this much larger, which smoothes their edges

# Halfway between a white and a dark page, as the sheet itself is transparent.
_INKS = {
  "text": (0x76, 0x7E, 0x88),
  "correct": (0x1F, 0x94, 0x54),
  "wrong": (0xD2, 0x4B, 0x40),
}
# The palette: colours of the frames, each ink at each opacity, nothing. A sheet
# in full colour would be three times as large.
_OPACITIES = 5
_COLOURS = 255 - _OPACITIES * len(_INKS)
_NOTHING = 255


@dataclasses.dataclass(frozen=True)
class Shot:
  """A video, or part of it, as a strip of frames.

  Attributes:
    frames: uint8 RGB [n, H, W, 3], shown side by side: several show motion.
    caption: Its class, say.
  """

  frames: np.ndarray
  caption: str


@dataclasses.dataclass(frozen=True)
class Match:
  """One row of a contact sheet.

  Attributes:
    query: What was searched for.
    neighbours: What was found, nearest first.
    correct: Whether each neighbour is right.
  """

  query: Shot
  neighbours: Sequence[Shot]
  correct: Sequence[bool]


def contact_sheet(matches: Sequence[Match], path: epath.PathLike) -> None:
  """Draws a sheet: each query at the left, its neighbours to the right of it.

  Right ones have a thick green border and a check mark, wrong ones a thin red
  border and a cross, so that they differ in more than colour.

  Args:
    matches: The rows; all shots with frames of one number and size.
    path: Of the PNG to write. Its background is transparent.

  Raises:
    ValueError: If there is nothing to draw, or the counts or sizes differ.
  """
  _check(matches)
  shots = [s for m in matches for s in (m.query, *m.neighbours)]
  strips, colours = _strips([shot.frames for shot in shots])
  height, width = strips.shape[1:]
  columns = 1 + len(matches[0].neighbours)
  lefts = _BORDER + np.arange(columns) * (width + 2 * _BORDER + _COLUMN_GAP)
  lefts[1:] += _QUERY_GAP - _COLUMN_GAP
  row_height = height + 2 * _BORDER + _CAPTION
  tops = _HEADER + _BORDER + np.arange(len(matches)) * (row_height + _ROW_GAP)
  size = lefts[-1] + width + _BORDER, tops[-1] + height + _BORDER + _CAPTION

  sheet, inks = np.full(size[::-1], _NOTHING, np.uint8), _Inks(size)
  for column, left in enumerate(lefts):
    inks.text(left, _HEADER / 2, _header(column), width)
  places = itertools.product(tops, lefts)
  verdicts = [v for m in matches for v in (None, *m.correct)]
  for (top, left), strip, shot, verdict in zip(
    places, strips, shots, verdicts, strict=True
  ):
    sheet[top : top + height, left : left + width] = strip
    line = top + height + _BORDER + _CAPTION / 2
    if verdict is None:
      inks.text(left, line, shot.caption, width)
    else:
      inks.border(left, top, width, height, verdict)
      inks.mark(left, line, verdict)
      indent = _MARK + 10
      inks.text(left + indent, line, shot.caption, width - indent)
  _write(inks.over(sheet), colours, path)


def _check(matches: Sequence[Match]) -> None:
  """Raises ValueError if the matches do not make a grid."""
  if not matches or not all(m.neighbours for m in matches):
    raise ValueError("give at least one match, and neighbours to each")
  counts = {len(m.neighbours) for m in matches}
  if len(counts) > 1:
    raise ValueError(
      f"matches have {sorted(counts)} neighbours: give each as many"
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
      f"shots have frames [n, H, W] of {sorted(shapes)}: give every shot as "
      "many frames, of one size"
    )


def _header(column: int) -> str:
  """'query', '1st', '2nd' and so on."""
  if not column:
    return "query"
  teen = 10 < column % 100 < 20
  suffix = "th" if teen else {1: "st", 2: "nd", 3: "rd"}.get(column % 10, "th")
  return f"{column}{suffix}"


def _strips(shots: Sequence[np.ndarray]) -> tuple[np.ndarray, list[int]]:
  """Scales all frames to one height, and reduces them to a palette.

  Args:
    shots: uint8 [n, H, W, 3] each.

  Returns:
    uint8 [shots, height, width] into the palette, the frames of each side by
    side, and the palette.
  """
  n, height, width = shots[0].shape[:3]
  side = max(1, round(width * _SIDE / height)), _SIDE
  frames = [
    Image.fromarray(frame).resize(side, Image.Resampling.LANCZOS)
    for shot in shots
    for frame in shot
  ]
  # One above the other, for a palette that they share.
  film = Image.fromarray(np.concatenate([np.asarray(f) for f in frames]))
  palette = film.quantize(_COLOURS, Image.Quantize.MEDIANCUT)
  indices = film.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
  indices = np.asarray(indices).reshape(len(shots), n, *side[::-1])
  gaps = [(0, 0), (0, 0), (0, 0), (0, _FRAME_GAP)]
  indices = np.pad(indices, gaps, constant_values=_NOTHING)
  strips = np.concatenate(list(indices.swapaxes(0, 1)), axis=2)
  return strips[..., :-_FRAME_GAP], palette.getpalette()


class _Inks:
  """What is drawn around the frames: for each ink, how opaque it is where."""

  def __init__(self, size: tuple[int, int]) -> None:
    large = tuple(int(side) * _SMOOTH for side in size)
    self._layers = {ink: Image.new("L", large) for ink in _INKS}
    self._draw = {i: ImageDraw.Draw(m) for i, m in self._layers.items()}
    self._font = ImageFont.load_default(_FONT * _SMOOTH)

  def text(self, left: float, middle: float, text: str, width: float) -> None:
    """Writes text, shortened to the width, centred on height `middle`."""
    length = self._font.getlength
    if length(text) > width * _SMOOTH:
      while text and length(text + "…") > width * _SMOOTH:
        text = text[:-1]
      text = text.rstrip() + "…"
    # Anchored at the baseline: words with and without descenders line up.
    start = left * _SMOOTH, (middle + 0.35 * _FONT) * _SMOOTH
    self._draw["text"].text(start, text, fill=255, font=self._font, anchor="ls")

  def border(
    self, left: int, top: int, width: int, height: int, correct: bool
  ) -> None:
    """Draws a frame around a strip."""
    inner = np.array([left, top, left + width, top + height])
    thickness = _BORDER if correct else _BORDER / 3
    outer = inner + thickness * np.array([-1, -1, 1, 1])
    draw = self._draw["correct" if correct else "wrong"]
    draw.rounded_rectangle(_box(outer), thickness * _SMOOTH, fill=255)
    draw.rectangle(_box(inner), fill=0)

  def mark(self, left: float, middle: float, correct: bool) -> None:
    """Draws a disc with a check mark or a cross cut out."""
    draw = self._draw["correct" if correct else "wrong"]
    radius = _MARK / 2
    centre = np.array([left + radius, middle])
    draw.ellipse(_box([*(centre - radius), *(centre + radius)]), fill=255)
    check, cross = (
      [[(-5, 0.5), (-1.5, 4), (5, -4)]],
      [
        [(-4, -4), (4, 4)],
        [(-4, 4), (4, -4)],
      ],
    )
    for stroke in check if correct else cross:
      points = (np.array(stroke) + centre) * _SMOOTH
      draw.line(points.ravel().tolist(), 0, round(2.6 * _SMOOTH), "curve")

  def over(self, sheet: np.ndarray) -> np.ndarray:
    """The sheet with the inks over it.

    Args:
      sheet: uint8 [H, W], into the palette.
    """
    for i, layer in enumerate(self._layers.values()):
      opacity = np.asarray(layer.reduce(_SMOOTH)) / 255
      level = np.rint(opacity * _OPACITIES).astype(np.uint8)
      first = _COLOURS + i * _OPACITIES
      sheet = np.where(level, first + level - 1, sheet)
    return sheet.astype(np.uint8)


def _box(corners: Sequence[float]) -> list[float]:
  """Left, top, right, bottom for Pillow, which includes the last pixel."""
  left, top, right, bottom = (x * _SMOOTH for x in corners)
  return [left, top, right - 1, bottom - 1]


def _write(
  indices: np.ndarray, colours: list[int], path: epath.PathLike
) -> None:
  """Writes a PNG of palette indices [H, W]; `colours` are those of frames."""
  rgb = np.zeros((256, 3), np.uint8)
  rgb[: len(colours) // 3] = np.reshape(colours, (-1, 3))
  alpha = np.full(256, 255, np.uint8)
  for i, ink in enumerate(_INKS.values()):
    levels = slice(_COLOURS + i * _OPACITIES, _COLOURS + (i + 1) * _OPACITIES)
    rgb[levels] = ink
    alpha[levels] = np.linspace(0, 255, _OPACITIES + 1)[1:]
  rgb[_NOTHING], alpha[_NOTHING] = _INKS["text"], 0
  image = Image.fromarray(indices)
  image.putpalette(rgb.tobytes())
  png = io.BytesIO()
  image.save(png, "PNG", optimize=True, transparency=alpha.tobytes())
  epath.Path(path).write_bytes(png.getvalue())
