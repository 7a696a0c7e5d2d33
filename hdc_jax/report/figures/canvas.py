"""What pictures of frames are drawn on: few colours, for light and dark pages.

A canvas is of indices into one palette: colours of the frames, each ink at each
opacity, and nothing. A picture in full colour would be three times as large.
"""

import io
from collections.abc import Sequence

import numpy as np
from etils import epath
from PIL import Image, ImageDraw, ImageFont

FRAME_GAP = 2  # in pixels, as all sizes
MARK = 24
BORDER = 6
# Halfway between a white and a dark page, as the canvas itself is transparent.
INKS = {
  "text": (0x76, 0x7E, 0x88),
  "correct": (0x1F, 0x94, 0x54),
  "wrong": (0xD2, 0x4B, 0x40),
}
_OPACITIES = 5
_COLOURS = 255 - _OPACITIES * len(INKS)
_NOTHING = 255
_FONT = 23
_SMOOTH = 3  # inks are drawn this much larger, which smoothes their edges


def strips(
  shots: Sequence[np.ndarray], side: int
) -> tuple[np.ndarray, list[int]]:
  """Scales all frames to one height, and reduces them to a palette.

  Args:
    shots: uint8 [n, H, W, 3] each.
    side: The height of the strips.

  Returns:
    uint8 [shots, side, width] into the palette, the frames of each side by
    side, and the palette.
  """
  n, height, width = shots[0].shape[:3]
  size = max(1, round(width * side / height)), side
  frames = [
    Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)
    for shot in shots
    for frame in shot
  ]
  # One above the other, for a palette that they share.
  film = Image.fromarray(np.concatenate([np.asarray(f) for f in frames]))
  palette = film.quantize(_COLOURS, Image.Quantize.MEDIANCUT)
  indices = film.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
  indices = np.asarray(indices).reshape(len(shots), n, *size[::-1])
  gaps = [(0, 0), (0, 0), (0, 0), (0, FRAME_GAP)]
  indices = np.pad(indices, gaps, constant_values=_NOTHING)
  joined = np.concatenate(list(indices.swapaxes(0, 1)), axis=2)
  return joined[..., :-FRAME_GAP], palette.getpalette()


class Canvas:
  """Strips of frames, and what is drawn around them in ink."""

  def __init__(self, size: tuple[int, int], palette: list[int]) -> None:
    """Starts with nothing.

    Args:
      size: Width and height.
      palette: Of the strips to paste, see `strips`.
    """
    self._indices = np.full(size[::-1], _NOTHING, np.uint8)
    self._palette = palette
    large = tuple(int(side) * _SMOOTH for side in size)
    self._layers = {ink: Image.new("L", large) for ink in INKS}
    self._draw = {i: ImageDraw.Draw(m) for i, m in self._layers.items()}
    self._font = ImageFont.load_default(_FONT * _SMOOTH)

  def paste(self, left: int, top: int, strip: np.ndarray) -> None:
    """Puts a strip, uint8 [height, width], where its left top is to be."""
    height, width = strip.shape
    self._indices[top : top + height, left : left + width] = strip

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

  def verdict(
    self, left: float, middle: float, text: str, width: float, correct: bool
  ) -> None:
    """Writes text as `text` does, behind a check mark or a cross."""
    self._mark(left, middle, correct)
    indent = MARK + 10
    self.text(left + indent, middle, text, width - indent)

  def border(
    self, left: int, top: int, width: int, height: int, correct: bool
  ) -> None:
    """Draws a frame around a strip."""
    inner = np.array([left, top, left + width, top + height])
    thickness = BORDER if correct else BORDER / 3
    outer = inner + thickness * np.array([-1, -1, 1, 1])
    draw = self._draw["correct" if correct else "wrong"]
    draw.rounded_rectangle(_box(outer), thickness * _SMOOTH, fill=255)
    draw.rectangle(_box(inner), fill=0)

  def _mark(self, left: float, middle: float, correct: bool) -> None:
    """Draws a disc with a check mark or a cross cut out."""
    draw = self._draw["correct" if correct else "wrong"]
    radius = MARK / 2
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

  def write(self, path: epath.PathLike) -> None:
    """Writes a PNG, the inks over the strips."""
    rgb = np.zeros((256, 3), np.uint8)
    rgb[: len(self._palette) // 3] = np.reshape(self._palette, (-1, 3))
    alpha = np.full(256, 255, np.uint8)
    indices = self._indices
    for i, (ink, layer) in enumerate(self._layers.items()):
      opacity = np.asarray(layer.reduce(_SMOOTH)) / 255
      level = np.rint(opacity * _OPACITIES).astype(np.uint8)
      first = _COLOURS + i * _OPACITIES
      indices = np.where(level, first + level - 1, indices)
      levels = slice(first, first + _OPACITIES)
      rgb[levels] = INKS[ink]
      alpha[levels] = np.linspace(0, 255, _OPACITIES + 1)[1:]
    rgb[_NOTHING], alpha[_NOTHING] = INKS["text"], 0
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette(rgb.tobytes())
    png = io.BytesIO()
    image.save(png, "PNG", optimize=True, transparency=alpha.tobytes())
    epath.Path(path).write_bytes(png.getvalue())


def _box(corners: Sequence[float]) -> list[float]:
  """Left, top, right, bottom for Pillow, which includes the last pixel."""
  left, top, right, bottom = (x * _SMOOTH for x in corners)
  return [left, top, right - 1, bottom - 1]
