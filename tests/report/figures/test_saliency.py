"""Class activation maps: against a reference, and what is drawn where."""

import jax
import numpy as np
import pytest
from PIL import Image

from hdc_jax.report.figures import canvas, saliency


@pytest.fixture
def rng():
  return np.random.default_rng(0)


def example(rng, correct=True, caption="surfing", size=(8, 48, 48)):
  frames = rng.integers(0, 256, (*size, 3), np.uint8)
  heat = rng.random(size, np.float32)
  return saliency.Example(frames, heat, caption, correct)


def draw(examples, path):
  saliency.draw(examples, path)
  with Image.open(path) as image:
    assert image.format == "PNG"
    return np.asarray(image.convert("RGBA")).astype(int)


def count(sheet, ink):
  return (sheet == (*canvas.INKS[ink], 255)).all(axis=-1).sum()


@pytest.mark.parametrize(
  ("small", "large"),
  [
    ((2, 7, 7), (16, 112, 112)),
    ((1, 4, 4), (8, 113, 170)),
    ((3, 5, 7), (7, 23, 24)),
    ((4, 1, 1), (4, 9, 9)),
    ((8, 7, 5), (3, 7, 4)),
  ],
)
def test_maps_are_interpolated_linearly(rng, small, large):
  features = rng.normal(size=(*small, 6)).astype(np.float32)
  weights = rng.normal(size=6).astype(np.float32)
  heat = saliency.activation_map(features, weights, *large)
  speaks = np.zeros(small, np.float32)
  for c in range(6):
    speaks += weights[c] * features[..., c]
  speaks = speaks.clip(0)
  expected = jax.image.resize(
    speaks / speaks.max(), large, "linear", antialias=False
  )
  assert heat.dtype == np.float32
  np.testing.assert_allclose(heat, expected, atol=2e-6)
  assert heat.min() >= 0 and heat.max() <= 1


def test_the_hottest_place_is_1_and_what_speaks_against_is_0():
  features = np.array([[[[2.0], [1.0], [-3.0]]]], np.float32)
  heat = saliency.activation_map(features, np.ones(1, np.float32), 1, 1, 3)
  np.testing.assert_array_equal(heat, [[[1, 0.5, 0]]])
  against = saliency.activation_map(features, np.zeros(1, np.float32), 2, 4, 4)
  np.testing.assert_array_equal(against, np.zeros((2, 4, 4)))


def test_cold_frames_stay_and_hot_ones_shine(rng):
  frames = rng.integers(0, 120, (2, 8, 8, 3), np.uint8)
  cold, warm, hot = (
    saliency.overlay(frames, np.full((2, 8, 8), heat, np.float32))
    for heat in (0, 0.5, 1)
  )
  np.testing.assert_array_equal(cold, frames)
  change = [np.abs(x - frames.astype(int)).mean() for x in (warm, hot)]
  assert 0 < change[0] < change[1]
  assert hot.dtype == np.uint8 and hot.mean() > warm.mean()
  # The frame shows through: what differs in it still does.
  assert np.corrcoef(hot[..., 0].ravel(), frames[..., 0].ravel())[0, 1] > 0.9


def test_heat_is_shown_where_it_is(rng):
  frames = np.full((2, 8, 8, 3), 30, np.uint8)
  heat = np.zeros((2, 8, 8), np.float32)
  heat[1, 2, 5] = 1
  changed = (saliency.overlay(frames, heat) != frames).any(axis=-1)
  assert np.argwhere(changed).tolist() == [[1, 2, 5]]


def test_right_and_wrong_are_marked_differently(rng, tmp_path):
  right, wrong = (
    draw([example(rng, correct=verdict)], tmp_path / "sheet.png")
    for verdict in (True, False)
  )
  assert count(right, "correct") and not count(right, "wrong")
  assert count(wrong, "wrong") and not count(wrong, "correct")


def test_the_overlay_is_below_its_frames(tmp_path):
  frames = np.full((2, 48, 48, 3), 20, np.uint8)
  frames[1] = 60
  heat = np.zeros((2, 48, 48), np.float32)
  heat[1] = 1
  sheet = draw([saliency.Example(frames, heat, "a", True)], tmp_path / "a.png")
  side = saliency._SIDE
  middle = side // 2
  lower = side + saliency._LINE_GAP + middle
  right = side + canvas.FRAME_GAP + middle
  shown = [sheet[y, x, :3] for y in (middle, lower) for x in (middle, right)]
  hot = saliency.overlay(frames, heat)[1, 0, 0]
  np.testing.assert_allclose(shown, [[20] * 3, [60] * 3, [20] * 3, hot], atol=2)


@pytest.mark.parametrize(("frames", "columns"), [(8, 2), (17, 1)])
def test_short_clips_are_side_by_side(rng, tmp_path, frames, columns):
  examples = [example(rng, size=(frames, 12, 12)) for _ in range(3)]
  height, width, _ = draw(examples, tmp_path / "sheet.png").shape
  side = saliency._SIDE
  assert width == pytest.approx(columns * frames * side, rel=0.06)
  rows = -(-3 // columns)
  assert 2 * rows * side < height < rows * (2 * side + 80)


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (
      lambda e: saliency.activation_map(
        np.zeros((2, 2, 2, 3)), np.zeros(2), 1, 1, 1
      ),
      r"features are \[2, 2, 2, 3\] and weights \[2\]: give",
    ),
    (
      lambda e: saliency.overlay(e.frames, e.heat[1:]),
      r"heat is \[7, 48, 48\]: give uint8",
    ),
    (lambda e: saliency.overlay(e.frames / 255, e.heat), "frames are float64"),
    (lambda e: saliency.draw([], "x.png"), "give at least one example"),
  ],
)
def test_what_cannot_be_drawn_is_refused(rng, call, message):
  with pytest.raises(ValueError, match=message):
    call(example(rng))


def test_examples_of_different_sizes_are_refused(rng, tmp_path):
  examples = [example(rng), example(rng, size=(8, 48, 40))]
  with pytest.raises(
    ValueError, match="the same number of frames, of one size"
  ):
    saliency.draw(examples, tmp_path / "sheet.png")
