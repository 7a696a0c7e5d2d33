"""Pictures of a run's directory as elements of a page."""

import base64
import io

import markupsafe
from PIL import Image

from hdc_jax.report.figures import canvas

_IMG = markupsafe.Markup('<img src="{}" alt="{}">')
# The browser draws the texts for which the machine of the run has no font.
_SVG = markupsafe.Markup(
  '<svg role="img" aria-label="{}" viewBox="0 0 {} {}" '
  'style="max-width: {}px"><image href="{}" width="{}" height="{}"/>{}</svg>'
)
_TEXT = markupsafe.Markup(
  '<text x="{:.1f}" y="{:.1f}" style="fill: rgb{}; font-size: {}px">{}</text>'
)


def element(png: bytes, title: str) -> markupsafe.Markup:
  """Makes the element that shows a picture, which contains it.

  Args:
    png: Content of the PNG.
    title: What it shows, for those who do not see it.
  """
  uri = f"data:image/png;base64,{base64.b64encode(png).decode()}"
  captions = canvas.captions(png)
  if not captions:
    return _IMG.format(uri, title)
  with Image.open(io.BytesIO(png)) as image:
    width, height = image.size
  texts = markupsafe.Markup("").join(
    _TEXT.format(left, baseline, canvas.INKS["text"], canvas.FONT, text)
    for left, baseline, text in captions
  )
  return _SVG.format(title, width, height, width, uri, width, height, texts)
