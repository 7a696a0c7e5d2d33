"""A canvas for strips of frames with captions, for light and dark pages.

The pixels of a canvas are indices into one palette of 256 colours: those of the
frames, each ink at each opacity, and full transparency. A PNG in full colour
would be three times as large.

Text in a script that no font of this machine has, as on most servers Chinese,
is not drawn as boxes. The PNG holds it as a text chunk, and the report
lets the reader's browser draw it, which has such fonts.
"""

import io
import json
from collections.abc import Sequence

import numpy as np
from etils import epath
from PIL import Image, ImageDraw, PngImagePlugin

from hdc_jax.report.figures import fonts
from hdc_jax.report.figures import text as text_lib
from hdc_jax.runtime import files

# In pixels: the gap between the frames of a strip, the diameter of a mark, and
# the thickness of the border around correct strips.
FRAME_GAP = 2
MARK = 24
BORDER = 6
# Colours halfway between white and dark pages, since the canvas is transparent.
INKS = {
  "text": (0x76, 0x7E, 0x88),
  "correct": (0x1F, 0x94, 0x54),
  "wrong": (0xD2, 0x4B, 0x40),
}
_OPACITIES = 5  # levels of each ink
_COLOURS = 255 - _OPACITIES * len(INKS)  # palette entries for the frames
_TRANSPARENT = 255  # palette index
FONT = 23  # pixels
CAPTIONS = "captions"  # key of the text chunk with what the browser draws
_SMOOTH = 3  # Inks are drawn larger by this factor, which smoothes their edges.


def strips(
  shots: Sequence[np.ndarray], side: int
) -> tuple[np.ndarray, list[int]]:
  """Scales frames to one height, and reduces their colours to a palette.

  Args:
    shots: S arrays of frames, RGB uint8 [n, H, W, 3], all of the same shape.
    side: Height of the strips in pixels.

  Returns:
    The strips, uint8 [S, side, width], whose values are indices into the
    palette, with the n frames of each side by side; and the palette, up to 240
    colours as a flat list of red, green and blue in [0, 255].
  """
  n, height, width = shots[0].shape[:3]
  size = max(1, round(width * side / height)), side
  frames = [
    Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)
    for shot in shots
    for frame in shot
  ]
  # One tall picture of all frames, so that they share a palette.
  film = Image.fromarray(np.concatenate([np.asarray(f) for f in frames]))
  reduced = film.quantize(_COLOURS, Image.Quantize.MEDIANCUT)
  indices = film.quantize(palette=reduced, dither=Image.Dither.FLOYDSTEINBERG)
  indices = np.asarray(indices).reshape(len(shots), n, *size[::-1])
  gaps = [(0, 0), (0, 0), (0, 0), (0, FRAME_GAP)]
  indices = np.pad(indices, gaps, constant_values=_TRANSPARENT)
  joined = np.concatenate(list(indices.swapaxes(0, 1)), axis=2)
  palette = reduced.getpalette()
  assert palette is not None  # since `quantize` makes one
  return joined[..., :-FRAME_GAP], palette


class Canvas:
  """A transparent picture of strips of frames, with text and marks in ink."""

  def __init__(self, size: tuple[int, int], palette: list[int]) -> None:
    """Creates an empty canvas.

    Args:
      size: Width and height in pixels.
      palette: Palette of the strips that will be pasted, see `strips`.
    """
    self._indices = np.full(size[::-1], _TRANSPARENT, np.uint8)
    self._palette = palette
    large = int(size[0]) * _SMOOTH, int(size[1]) * _SMOOTH
    self._layers = {ink: Image.new("L", large) for ink in INKS}
    self._draw = {i: ImageDraw.Draw(m) for i, m in self._layers.items()}
    self._captions: list[tuple[float, float, str]] = []

  def paste(self, left: int, top: int, strip: np.ndarray) -> None:
    """Pastes a strip.

    Args:
      left: Column of its left edge, in pixels.
      top: Row of its top edge, in pixels.
      strip: uint8 [height, width], palette indices.
    """
    height, width = strip.shape
    self._indices[top : top + height, left : left + width] = strip

  def text(self, left: float, middle: float, text: str, width: float) -> None:
    """Writes a line of text.

    Args:
      left: Column where it starts, in pixels.
      middle: Row on which it is centred, in pixels.
      text: The text; shortened with an ellipsis if it is too long.
      width: Available width in pixels.
    """
    # Anchored at the baseline, so that words with and without descenders align.
    baseline = middle + 0.35 * FONT
    font = fonts.find(text, FONT * _SMOOTH)
    if font is None:
      scale = text_lib.FONT / FONT
      shown = text_lib.shorten(text, float(width) * scale)
      self._captions.append((float(left), float(baseline), shown))
      return
    if font.getlength(text) > width * _SMOOTH:
      while text and font.getlength(text + "…") > width * _SMOOTH:
        text = text[:-1]
      text = text.rstrip() + "…"
    start = left * _SMOOTH, baseline * _SMOOTH
    self._draw["text"].text(start, text, fill=255, font=font, anchor="ls")

  def verdict(
    self, left: float, middle: float, text: str, width: float, correct: bool
  ) -> None:
    """Writes a line of text after a check mark or a cross.

    Args:
      left: Column where the mark starts, in pixels.
      middle: Row on which mark and text are centred, in pixels.
      text: The text; shortened with an ellipsis if it is too long.
      width: Available width in pixels, for mark and text.
      correct: Whether it is a check mark.
    """
    self._mark(left, middle, correct)
    indent = MARK + 10
    self.text(left + indent, middle, text, width - indent)

  def border(
    self, left: int, top: int, width: int, height: int, correct: bool
  ) -> None:
    """Draws a border around a strip: thick if correct, else thin.

    Args:
      left: Column of the strip's left edge, in pixels.
      top: Row of the strip's top edge, in pixels.
      width: Width of the strip in pixels.
      height: Height of the strip in pixels.
      correct: Whether it has the colour and thickness of correct results.
    """
    inner = np.array([left, top, left + width, top + height])
    thickness = BORDER if correct else BORDER / 3
    outer = inner + thickness * np.array([-1, -1, 1, 1])
    draw = self._draw["correct" if correct else "wrong"]
    draw.rounded_rectangle(_box(outer.tolist()), thickness * _SMOOTH, fill=255)
    draw.rectangle(_box(inner.tolist()), fill=0)

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
    """Writes the canvas as a PNG, the inks over the strips.

    Args:
      path: Path of the file, local or in a bucket.
    """
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
    rgb[_TRANSPARENT], alpha[_TRANSPARENT] = INKS["text"], 0
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette(rgb.tobytes())
    png = io.BytesIO()
    chunks = PngImagePlugin.PngInfo()
    if self._captions:
      chunks.add_itxt(CAPTIONS, json.dumps(self._captions))
    image.save(
      png,
      "PNG",
      optimize=True,
      transparency=alpha.tobytes(),
      pnginfo=chunks,
    )
    files.write(path, png.getvalue())


def captions(png: bytes) -> list[tuple[float, float, str]]:
  """Reads the texts of a canvas that the browser is to draw.

  Args:
    png: Content of a PNG.

  Returns:
    Left edge and baseline in pixels, and the text, of each.
  """
  with Image.open(io.BytesIO(png)) as image:
    return json.loads(getattr(image, "text", {}).get(CAPTIONS, "[]"))


def _box(corners: Sequence[float]) -> list[float]:
  """Left, top, right and bottom for Pillow, which includes the last pixel."""
  left, top, right, bottom = (x * _SMOOTH for x in corners)
  return [left, top, right - 1, bottom - 1]
