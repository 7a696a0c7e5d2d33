"""Text in drawings: its size in pixels, and how it is made to fit."""

FONT, LINE, CHARACTER = 11, 13, 6.2  # height, from line to line, mean width


def shorten(text: str, longest: int) -> str:
  """The text, or the first of `longest` characters and an ellipsis."""
  return text if len(text) <= longest else text[: longest - 1] + "…"
