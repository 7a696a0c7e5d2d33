"""Confusion matrices: which cell is which, and what the lists say."""

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from hdc_jax.report.figures import confusion

MATRIX = np.array([[6, 3, 1], [0, 4, 0], [5, 0, 5]])
NAMES = ["run", "<b>&", "jump"]


def random_matrix(count):
  return np.random.default_rng(0).integers(0, 9, (count, count))


def draw(matrix, names):
  svg = ElementTree.fromstring(confusion.figure(matrix, names))
  (image,) = (e for e in svg.iter() if e.tag.endswith("image"))
  data = image.get("href").removeprefix("data:image/png;base64,")
  with Image.open(io.BytesIO(base64.b64decode(data))) as png:
    cells = np.asarray(png.convert("RGBA")).astype(int)
  return svg, image, cells


def texts(svg):
  return [
    (e.text, float(e.get("x")), float(e.get("y")))
    for e in svg.iter()
    if e.tag.endswith("text")
  ]


def test_opacity_is_the_share_of_the_true_class():
  _, _, cells = draw(MATRIX, NAMES)
  shares = MATRIX / [[10], [4], [10]]
  opacity = cells[..., 3] / cells[1, 1, 3]
  np.testing.assert_allclose(opacity, np.sqrt(shares), atol=0.02)
  assert 0.7 < cells[1, 1, 3] / 255 < 0.95


def test_right_and_wrong_have_different_colours():
  _, _, cells = draw(MATRIX, NAMES)
  colour = cells[..., :3]
  right = {tuple(colour[i, i]) for i in range(3)}
  wrong = {tuple(colour[i, j]) for i, j in ((0, 1), (0, 2), (2, 0))}
  assert len(right) == len(wrong) == 1 and right != wrong


def test_numbers_and_names_are_in_their_places():
  svg, image, _ = draw(MATRIX, NAMES)
  left, side = float(image.get("x")), float(image.get("width"))
  found = texts(svg)
  numbers = {}
  for text, x, y in found:
    if text.isdigit():
      place = int((y - 1) / side * 3), int((x - left) / side * 3)
      numbers[place] = int(text)
  expected = {(0, 0): 60, (0, 1): 30, (0, 2): 10, (1, 1): 100}
  assert numbers == expected | {(2, 0): 50, (2, 2): 50}
  rows = sorted((y, text) for text, x, y in found if x < left)
  columns = sorted((x, text) for text, x, y in found if y > 1 + side)
  assert [name for _, name in rows] == [name for _, name in columns] == NAMES


@pytest.mark.parametrize("count", [2, 12, 13, 30])
def test_few_classes_have_names(count):
  names = [f"class {i}" for i in range(count)]
  svg, image, _ = draw(random_matrix(count), names)
  found = [text for text, *_ in texts(svg)]
  assert all(found.count(name) == 2 for name in names)
  assert (len(found) > 2 * count) == (count <= 12)  # numbers too
  assert float(image.get("width")) / count >= 13


@pytest.mark.parametrize("count", [31, 60, 101, 400])
def test_many_classes_are_counted(count):
  svg, image, cells = draw(random_matrix(count), ["long name"] * count)
  assert cells.shape == (count, count, 4)
  left, side = float(image.get("x")), float(image.get("width"))
  rows = [(int(text), y) for text, x, y in texts(svg) if x < left]
  assert 3 <= len(rows) <= 10 and max(n for n, _ in rows) > count / 2
  for n, y in rows:  # the middle of the row of the nth class
    assert y == pytest.approx(1 + side * (n - 0.5) / count, abs=0.1)


def test_drawings_are_small_and_the_same_each_time():
  drawn = confusion.figure(random_matrix(400), ["x"] * 400)
  assert drawn == confusion.figure(random_matrix(400), ["x"] * 400)
  assert len(drawn) < 250_000  # of noise, which cannot be compressed
  assert len(confusion.figure(np.eye(400, dtype=int), ["x"] * 400)) < 15_000


def test_all_is_inside_the_drawing_whatever_the_names():
  names = ["W" * 60, "i", "kayaking"]
  svg, image, _ = draw(MATRIX, names)
  _, _, width, height = map(float, svg.get("viewBox").split())
  side = float(image.get("width"))
  assert float(image.get("x")) + side < width and 1 + side < height
  assert all(len(text) < 25 for text, *_ in texts(svg))
  assert all(0 < x < width and 0 < y < height for _, x, y in texts(svg))


def test_svgs_can_stand_together_on_a_page():
  svg = confusion.figure(MATRIX, NAMES)
  assert svg.startswith("<svg") and svg.endswith("</svg>")
  assert "<b>" not in svg and " id=" not in svg and "<style" not in svg
  drawing = re.sub(r'href="[^"]*"', "", svg)
  assert not re.search(r"#[0-9a-f]{3,8}|font-family|url\(", drawing)


def test_a_class_of_which_there_are_none():
  matrix = np.array([[2, 2], [0, 0]])
  _, _, cells = draw(matrix, ["a", "b"])
  assert (cells[1, :, 3] == 0).all()
  assert confusion.per_class(matrix, ["a", "b"]) == [("a", 4, 50.0)]


def test_classes_are_listed_from_the_worst():
  assert confusion.per_class(MATRIX, NAMES) == [
    ("jump", 10, 50.0),
    ("run", 10, 60.0),
    ("<b>&", 4, 100.0),
  ]


def test_confusions_are_listed_from_the_most_frequent():
  expected = [
    ("jump", "run", 5, 50.0),
    ("run", "<b>&", 3, 30.0),
    ("run", "jump", 1, 10.0),
  ]
  assert confusion.confused(MATRIX, NAMES) == expected
  assert confusion.confused(MATRIX, NAMES, count=2) == expected[:2]
  assert confusion.confused(np.diag([1, 2]), ["a", "b"]) == []


@pytest.mark.parametrize(
  "of", [confusion.figure, confusion.per_class, confusion.confused]
)
@pytest.mark.parametrize(
  ("shape", "count"), [((2, 3), 2), ((2, 2), 3), ((0, 0), 0)]
)
def test_a_matrix_of_other_classes_is_refused(of, shape, count):
  with pytest.raises(ValueError, match=r"give \[C, C\] and C names"):
    of(np.zeros(shape, int), ["name"] * count)
