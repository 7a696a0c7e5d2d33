"""A picture to show."""

import io

from PIL import Image


def png():
  """Content of a PNG of 20×10 pixels."""
  content = io.BytesIO()
  Image.new("RGB", (20, 10), (9, 99, 9)).save(content, "PNG")
  return content.getvalue()
