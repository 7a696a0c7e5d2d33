"""Fonts for the text of pictures, which may be in any script."""

import contextlib
import functools
from collections.abc import Iterator

from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont
from PIL.ImageFont import ImageFont as BitmapFont

# A code point that is no character and that no font has, therefore.
_NO_CHARACTER = "\U0010ffff"


@functools.cache
def default(size: int) -> FreeTypeFont | BitmapFont:
  """The font of Pillow, which has the Latin alphabet.

  Args:
    size: Size in pixels.
  """
  return ImageFont.load_default(size)


@functools.lru_cache(maxsize=1000)
def find(text: str, size: int) -> FreeTypeFont | BitmapFont | None:
  """Finds a font that has every character of a text.

  Args:
    text: The text.
    size: Size in pixels.

  Returns:
    Pillow's own font, else the first of those on this machine; None if there is
    none.
  """
  if _covers(default(size), text):
    return default(size)
  return next((f for f in _installed(size) if _covers(f, text)), None)


def _installed(size: int) -> Iterator[FreeTypeFont]:
  """Yields the upright fonts of this machine, those without serifs first.

  Matplotlib's font of last resort is left out: it has a box for each script.
  """
  entries = [
    entry
    for entry in font_manager.fontManager.ttflist
    if entry.style == "normal"
    and entry.weight == 400
    and "Last Resort" not in entry.name
  ]
  entries.sort(key=lambda entry: ("Sans" not in entry.name, entry.name))
  for entry in entries:
    with contextlib.suppress(OSError):  # of bitmaps, or removed since
      yield ImageFont.truetype(entry.fname, size)


def _covers(font: FreeTypeFont | BitmapFont, text: str) -> bool:
  """Tells whether a font has every character of a text."""
  missing = _drawn(font, _NO_CHARACTER)
  return all(
    character.isspace() or _drawn(font, character) != missing
    for character in set(text)
  )


def _drawn(font: FreeTypeFont | BitmapFont, character: str) -> bytes:
  """The pixels of a character; of one that the font has not, of its box."""
  _, _, right, bottom = font.getbbox(character)
  image = Image.new("L", (max(1, round(right)), max(1, round(bottom))))
  ImageDraw.Draw(image).text((0, 0), character, fill=255, font=font)
  return image.tobytes()
