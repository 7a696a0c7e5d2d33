"""The size of text in drawings, and how it is shortened to fit."""

# In pixels: the font size, the line height, and the mean width of a character.
FONT, LINE, CHARACTER = 11, 13, 6.2


def shorten(text: str, longest: int) -> str:
  """Shortens text to a number of characters.

  Args:
    text: The text.
    longest: Greatest number of characters, the ellipsis included.

  Returns:
    The text, or its beginning and an ellipsis.

  Example:
    >>> shorten("PlayingGuitar", 8)
    'Playing…'
  """
  return text if len(text) <= longest else text[: longest - 1] + "…"
