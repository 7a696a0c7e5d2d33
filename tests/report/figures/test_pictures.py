"""Pictures with names in any script, with and without fonts for them."""

import io
import re

import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image

from hdc_jax.report.figures import canvas, contact_sheet, fonts, pictures

NAMES = ["打篮球", "ジャンプ", "걷다", "跑 <&> run"]


@pytest.fixture
def no_fonts(monkeypatch):
  """A machine that has no fonts."""
  monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
  fonts.find.cache_clear()
  yield
  fonts.find.cache_clear()


def draw(path, captions):
  frames = np.zeros((2, 32, 32, 3), np.uint8)
  shots = [contact_sheet.Shot(frames, caption) for caption in captions]
  match = contact_sheet.Match(shots[0], shots[1:], [True] * len(shots[1:]))
  contact_sheet.contact_sheet([match], path)
  return path.read_bytes()


def test_the_browser_draws_what_no_font_has(no_fonts, tmp_path):
  png = draw(tmp_path / "sheet.png", NAMES)
  texts = [text for *_, text in canvas.captions(png)]
  assert texts == [*NAMES[:3], texts[3]]
  assert texts[3].startswith("跑")
  element = pictures.element(png, "Neighbours")
  assert element.startswith("<svg") and "data:image/png;base64," in element
  for name in NAMES[:3]:
    assert f">{name}</text>" in element
  assert "跑 &lt;" in element and "<&>" not in element
  with Image.open(tmp_path / "sheet.png") as image:
    width, height = image.size
  places = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"', element)
  assert len(places) == 4
  assert all(0 <= float(x) < width for x, _ in places)
  assert all(0 <= float(y) < height for _, y in places)


def test_no_boxes(no_fonts, tmp_path):
  """The picture itself has blanks in their place, but all the rest."""
  blank = draw(tmp_path / "a.png", NAMES[:2])
  empty = draw(tmp_path / "b.png", ["", ""])
  assert blank != empty
  one, two = (
    Image.open(io.BytesIO(png)).convert("RGBA") for png in (blank, empty)
  )
  np.testing.assert_array_equal(one, two)


def test_fonts_of_the_machine(tmp_path):
  """Cyrillic is in DejaVu, which Matplotlib brings along."""
  assert fonts.find("circle", 23) is fonts.default(23)
  found = fonts.find("Прыжок ≤ ∮", 23)
  assert found is not None and found is not fonts.default(23)
  png = draw(tmp_path / "sheet.png", ["Прыжок ∮", "circle"])
  assert not canvas.captions(png)
  assert pictures.element(png, "a & b").startswith("<img ")


def test_the_font_of_last_resort_is_none(monkeypatch):
  """It has a box for every character, the same for all of a script."""
  only = [f for f in font_manager.fontManager.ttflist if "Last" in f.name]
  monkeypatch.setattr(font_manager.fontManager, "ttflist", only)
  fonts.find.cache_clear()
  assert fonts.find("打篮球", 23) is None
  fonts.find.cache_clear()


def test_long_names_are_shortened(no_fonts, tmp_path):
  png = draw(tmp_path / "sheet.png", ["打" * 99, "circle"])
  ((_, _, text),) = canvas.captions(png)
  assert text.endswith("…") and len(text) < 9
