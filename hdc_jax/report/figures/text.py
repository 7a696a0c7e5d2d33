"""The size of text in drawings, and how it is shortened to fit."""

import unicodedata

# In pixels: the font size, the line height, and the mean width of a character.
FONT, LINE, CHARACTER = 11, 13, 6.2
_DIGIT, _CAPITAL = 7.0, 8.5  # widths in pixels
# Characters about as wide as high, beside those of East Asia.
_BROAD = "MWmw%@…—"


def width(text: str) -> float:
  """Estimates the width of a text in pixels, for any font of a browser.

  Args:
    text: The text.

  Returns:
    Its width at the size `FONT`.

  Example:
    >>> width("jump") < width("JUMP") < width("打篮球运动")
    True
  """
  return sum(map(_character_width, text))


def shorten(text: str, longest: float) -> str:
  """Shortens text to a width.

  Args:
    text: The text.
    longest: Greatest width in pixels, the ellipsis included.

  Returns:
    The text, or its beginning and an ellipsis.

  Example:
    >>> shorten("PlayingGuitar", 65)
    'Playing…'
  """
  if width(text) <= longest:
    return text
  while text and width(text + "…") > longest:
    text = text[:-1]
  return text.rstrip() + "…"


def _character_width(character: str) -> float:
  """Estimates the width of one character in pixels."""
  if unicodedata.combining(character):
    return 0
  if character in _BROAD or unicodedata.east_asian_width(character) in "WF":
    return FONT
  if character.isupper():
    return _CAPITAL
  return _DIGIT if character.isdigit() else CHARACTER
