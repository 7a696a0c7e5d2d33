"""Crops and flips against hand-made inputs and torchvision's sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from PIL import Image

from hdc_jax.augment import geometry, resampling


def canvas_of(rng, frames=3, size=32, still=False):
  """A random canvas; of one frame repeated if still."""
  shape = (1 if still else frames, size, size)
  y = rng.integers(16, 236, shape)
  uv = rng.integers(16, 241, (shape[0], size // 2, size // 2, 2))
  repeat = frames if still else 1
  return geometry.Canvas(
    jnp.uint8(y.repeat(repeat, 0)), jnp.uint8(uv.repeat(repeat, 0))
  )


def test_crop_of_a_grey_canvas_is_grey():
  """Luma 126 of limited range is (126 - 16) / 219 in RGB."""
  grey = geometry.Canvas(
    jnp.full((2, 16, 16), 126, jnp.uint8),
    jnp.full((2, 8, 8, 2), 128, jnp.uint8),
  )
  out = geometry.crop(grey, resampling.Box(3, 2, 9, 11), 6)
  np.testing.assert_allclose(out, 110 / 219, atol=1e-6)


@pytest.mark.slow
def test_centre_crop_keeps_pixels():
  canvas = canvas_of(np.random.default_rng(0))
  key = jax.random.key(0)
  whole = geometry.CentreCrop(32)(key, canvas)
  part = geometry.CentreCrop(24)(key, canvas)
  # Luma is copied; chroma is interpolated over a shorter row at the border.
  np.testing.assert_allclose(
    part[:, 4:-4, 4:-4], whole[:, 8:-8, 8:-8], atol=1e-5
  )


@pytest.fixture(scope="module")
def jitter():
  return jax.jit(jax.vmap(geometry.ScaleJitterCrop(28), in_axes=(0, None)))


CROPS = [
  geometry.ScaleJitterCrop(28),
  geometry.RandomResizedCrop(28),
  geometry.CentreCrop(20),
]


@pytest.mark.parametrize("transform", CROPS, ids=str)
def test_shows_every_frame_alike(transform):
  still = canvas_of(np.random.default_rng(0), still=True)
  keys = jax.random.split(jax.random.key(0), 4)
  out = jax.jit(jax.vmap(transform, in_axes=(0, None)))(keys, still)
  np.testing.assert_array_equal(out, out[:, :1].repeat(out.shape[1], 1))


@pytest.mark.slow
@pytest.mark.parametrize("transform", CROPS, ids=str)
@pytest.mark.parametrize("extent", [(24, 32), (32, 26), (22, 20)])
def test_padding_is_never_seen(transform, extent):
  """A canvas with noise beyond its extent gives what the picture alone does."""
  padded = canvas_of(np.random.default_rng(0))
  height, width = extent
  picture = geometry.Canvas(
    padded.y[:, :height, :width],
    padded.uv[:, : height // 2, : width // 2],
  )
  padded = padded._replace(extent=jnp.array(extent))
  keys = jax.random.split(jax.random.key(0), 8)
  got, want = (
    jax.jit(jax.vmap(transform, in_axes=(0, None)))(keys, canvas)
    for canvas in (padded, picture)
  )
  np.testing.assert_allclose(got, want, atol=1e-5)


def boxes_of(transform, sides, count=4000):
  """Drawn boxes of whole pixels as int [count, 4]: places, then sides."""
  keys = jax.random.split(jax.random.key(0), count)
  draw = jax.jit(jax.vmap(transform.draw, in_axes=(0, None)))
  boxes = np.stack(draw(keys, jnp.array(sides)), axis=1)
  np.testing.assert_array_equal(boxes, np.round(boxes))
  return boxes.astype(int)


def inception_box(rng, sides, area, aspect):
  """One box as torchvision draws it in a picture of an allowed ratio."""
  height, width = sides
  for _ in range(10):
    pixels = height * width * rng.uniform(*area)
    ratio = np.exp(rng.uniform(*np.log(aspect)))
    w, h = round(np.sqrt(pixels * ratio)), round(np.sqrt(pixels / ratio))
    if w <= width and h <= height:
      top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
      return top, left, h, w
  return 0, 0, height, width


@pytest.mark.slow
@pytest.mark.parametrize("sides", [(128, 170), (96, 54)])
def test_resized_crop_is_torchvisions(sides):
  """The same distribution of every side and place, of area and aspect."""
  area, aspect = (0.3, 1.0), (0.5, 1.6)
  got = boxes_of(geometry.RandomResizedCrop(8, area, aspect), sides)
  rng = np.random.default_rng(0)
  want = np.array([inception_box(rng, sides, area, aspect) for _ in got])

  def measures(boxes):
    height, width = boxes[:, 2], boxes[:, 3]
    return [*boxes.T, height * width, width / height]

  for one, other in zip(measures(got), measures(want), strict=True):
    assert scipy.stats.ks_2samp(one, other).pvalue > 1e-3
  assert got[:, :2].min() == 0
  assert np.all(got[:, :2] + got[:, 2:] <= sides)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("sides", "want"),
  [
    # Too wide for the ratio, too tall, and of a ratio that has no room.
    ((20, 200), (0, 89, 20, 22)),
    ((200, 20), (89, 0, 22, 20)),
    ((100, 100), (0, 0, 100, 100)),
  ],
)
def test_resized_crop_falls_back_to_the_largest_in_the_centre(sides, want):
  never = (1.5, 2.0) if sides[0] == sides[1] else (0.5, 1.0)
  transform = geometry.RandomResizedCrop(8, never, (0.9, 1.1))
  np.testing.assert_array_equal(boxes_of(transform, sides, 4), [want] * 4)


@pytest.mark.slow
def test_resized_crop_shows_its_box():
  """As Pillow crops and resizes the luma."""
  canvas = canvas_of(np.random.default_rng(0), frames=1)
  canvas = canvas._replace(uv=jnp.full_like(canvas.uv, 128))
  transform = geometry.RandomResizedCrop(14)
  show = jax.jit(transform)
  for key in jax.random.split(jax.random.key(0), 3):
    top, left, height, width = map(int, transform.draw(key, canvas.sides))
    image = Image.fromarray(np.float32(canvas.y[0]))
    image = image.crop((left, top, left + width, top + height))
    image = image.resize((14, 14), Image.Resampling.BILINEAR)
    out = show(key, canvas)[0, :, :, 0]
    want = np.clip((np.asarray(image) - 16) / 219, 0, 1)
    np.testing.assert_allclose(out, want, atol=1e-3)


@pytest.mark.slow
def test_scale_jitter_draws_sides_and_places(jitter):
  """A ramp tells the box: its slope the side, its first value the place."""
  y, x = np.mgrid[:32, :32]
  drawn_sides = []
  sides = {32, 28, 24, 21}
  for axis, ramp in enumerate((y, x)):
    canvas = geometry.Canvas(
      jnp.uint8(16 + 4 * ramp)[None], jnp.full((1, 16, 16, 2), 128, jnp.uint8)
    )
    out = jitter(jax.random.split(jax.random.key(1), 64), canvas)
    luma = out[:, 0, :, :, 0] * 219 / 4
    line = np.asarray(luma[:, :, 14] if axis == 0 else luma[:, 14, :])
    # The middle half is free of the borders' one-sided filters.
    slope = (line[:, 20] - line[:, 8]) / 12
    drawn = np.round(slope * 28).astype(int)
    assert set(drawn) == sides
    drawn_sides.append(drawn)
    start = line[:, 14] - slope * 14.5 + 0.5
    # A widened triangle over few pixels is not quite linear.
    assert np.allclose(start, np.round(start), atol=0.2)
    assert start.min() >= -0.2
    assert (start + drawn).max() <= 32.2
    # All places of the smallest crop are reached, the last one included.
    assert np.round(start[drawn == 21]).max() >= 9
  # Neighbours in the list of scales, as in TSN.
  order = [32, 28, 24, 21]
  places = [list(map(order.index, drawn)) for drawn in drawn_sides]
  assert np.abs(np.subtract(*places)).max() == 1


def tsn_pairs(scales, max_distort):
  """The pairs of `GroupMultiScaleCrop` in tsn-pytorch, in its order."""
  pairs = []
  for i, h in enumerate(scales):
    for j, w in enumerate(scales):
      if abs(i - j) <= max_distort:
        pairs.append((h, w))
  return pairs


@pytest.mark.parametrize(
  ("max_distort", "count"), [(0, 4), (1, 10), (2, 14), (4, 16)]
)
def test_scale_jitter_pairs_scales_as_tsn(max_distort, count):
  """Each pair of TSN's list is drawn equally often."""
  scales = (1.0, 0.75, 0.5, 0.25)
  crop = geometry.ScaleJitterCrop(8, scales, max_distort)
  assert list(crop.pairs) == tsn_pairs(scales, max_distort)
  boxes = boxes_of(crop, (32, 32), 1600)
  drawn = [tuple(sides / 32) for sides in boxes[:, 2:]]
  counts = [drawn.count(pair) for pair in crop.pairs]
  assert (len(counts), sum(counts)) == (count, 1600)
  assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_tsn_keeps_the_aspect():
  """RECIPES: between 0.857 and 1.167 with TSN's scales; freely up to 1.52."""
  tsn, free = (geometry.ScaleJitterCrop(8, max_distort=n) for n in (1, 4))
  aspects = [w / h for h, w in tsn.pairs]
  assert (min(aspects), max(aspects)) == pytest.approx((6 / 7, 7 / 6))
  assert max(w / h for h, w in free.pairs) == pytest.approx(1 / 0.66)
  assert geometry.ScaleJitterCrop(8).max_distort == 1


def test_flip_is_of_the_whole_clip():
  frames = jax.random.uniform(jax.random.key(0), (2, 4, 5, 3))
  for probability, want in ((0.0, frames), (1.0, frames[:, :, ::-1])):
    flip = geometry.RandomFlip(probability)
    np.testing.assert_array_equal(flip(jax.random.key(1), frames), want)
