"""Strips in a grid: each where it belongs."""

import numpy as np
import pytest
from PIL import Image

from hdc_jax.report.figures import strips


def test_strips_are_in_their_cells(tmp_path):
  colours = np.array([[[200, 0, 0], [0, 200, 0]], [[0, 0, 200], [90, 90, 90]]])
  rows = [
    [np.full((3, 8, 8, 3), colour, np.uint8) for colour in row]
    for row in colours
  ]
  path = tmp_path / "views.png"
  strips.draw(rows, ["one", "two"], path)
  with Image.open(path) as file:
    image = np.asarray(file.convert("RGBA"))
  height, width = image.shape[:2]
  for i, row in enumerate(colours):
    for j, colour in enumerate(row):
      # The last pixels of a cell: rows lie at the bottom, columns fill up.
      y = height - 4 - (1 - i) * (96 + 13)
      x = 4 if j == 0 else width - 4
      assert image[y, x, 3] == 255
      np.testing.assert_allclose(image[y, x, :3], colour, atol=6)
  assert image[10:30, :60, 3].max() > 100  # the caption


def test_rows_have_names(tmp_path):
  """At the left of the strips, which are the same."""
  rows = [[np.full((2, 8, 8, 3), 90, np.uint8)]] * 2
  pictures = []
  for name, names in (("without", ()), ("with", ("first", "second"))):
    strips.draw(rows, ["one"], tmp_path / name, names)
    with Image.open(tmp_path / name) as file:
      pictures.append(np.asarray(file.convert("RGBA")))
  without, named = pictures
  added = named.shape[1] - without.shape[1]
  np.testing.assert_array_equal(named[:, added:], without)
  for top in (40, 40 + 96 + 13):
    assert named[top : top + 96, :added, 3].max() > 100
  with pytest.raises(ValueError, match="a name to each row"):
    strips.draw(rows, ["one"], tmp_path / "x.png", ["first"])


def test_captions_and_strips_must_match(tmp_path):
  strip = np.zeros((2, 8, 8, 3), np.uint8)
  for rows, captions in (([], ["a"]), ([[strip]], ["a", "b"])):
    with pytest.raises(ValueError, match="a strip for each caption"):
      strips.draw(rows, captions, tmp_path / "x.png")
  assert not (tmp_path / "x.png").exists()
