"""Colours against FFmpeg, Pillow, OpenCV and the standard library."""

import colorsys

import av
import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from PIL import Image, ImageOps

from hdc_jax.augment import colour

KEYS = jax.random.split(jax.random.key(0), 24)


@pytest.mark.parametrize(
  ("yuv", "rgb"),
  [
    ((16, 128, 128), (0, 0, 0)),
    ((235, 128, 128), (1, 1, 1)),
    ((81, 90, 240), (1, 0, 0)),
    ((145, 54, 34), (0, 1, 0)),
    ((41, 240, 110), (0, 0, 1)),
    ((0, 128, 128), (0, 0, 0)),
  ],
)
def test_yuv_primaries(yuv, rgb):
  """The corner colours of BT.601, rounded to 8 bits; clipped outside."""
  out = colour.yuv_to_rgb(jnp.float32(yuv).reshape(1, 1, 1, 3))
  np.testing.assert_allclose(out[0, 0, 0], rgb, atol=4e-3)


def test_yuv_is_ffmpegs():
  """A flat picture of every colour, converted by swscale."""
  rng = np.random.default_rng(0)
  for y, u, v in rng.integers((16, 60, 60), (236, 196, 196), (20, 3)):
    planes = np.concatenate(
      [np.full((16, 16), y), np.full((4, 16), u), np.full((4, 16), v)]
    ).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
    want = frame.to_ndarray(format="rgb24")[8, 8] / 255
    got = colour.yuv_to_rgb(jnp.float32([y, u, v]).reshape(1, 1, 1, 3))
    np.testing.assert_allclose(got[0, 0, 0], want, atol=3 / 255)


def frames(seed=0, still=False):
  """RGB [4, 6, 6, 3]; of one frame repeated if still."""
  shape = (1 if still else 4, 6, 6, 3)
  out = jax.random.uniform(jax.random.key(seed), shape)
  return jnp.tile(out, (4 // shape[0], 1, 1, 1))


TRANSFORMS = [
  colour.ColourJitter(probability=1.0),
  colour.ColourJitter(probability=0.5),
  colour.ShuffledColourJitter(probability=1.0),
  colour.ShuffledColourJitter(probability=0.5),
  colour.ChannelReplication(probability=0.5),
]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=str)
def test_frames_of_a_clip_alike_clips_not(transform):
  apply = jax.jit(jax.vmap(transform, in_axes=(0, None)))
  out = np.asarray(apply(KEYS, frames(still=True)))
  np.testing.assert_array_equal(out, out[:, :1].repeat(4, axis=1))
  assert len(np.unique(out.round(5), axis=0)) > 2
  assert out.min() >= 0.0
  assert out.max() <= 1.0


@pytest.mark.parametrize(
  "transform",
  [
    colour.ColourJitter(1.0),
    colour.ShuffledColourJitter(1.0),
    colour.Greyscale(0.5),
    colour.Solarize(0.5),
  ],
  ids=str,
)
def test_one_function_of_colour_per_clip(transform):
  """Equal pixels of different frames stay equal: no frame is treated apart.

  Contrast about the mean of each frame would fail this.
  """
  clip = frames()
  clip = clip.at[:, 0, 0].set(jnp.array([0.3, 0.5, 0.6]))
  out = jax.jit(jax.vmap(transform, in_axes=(0, None)))(KEYS, clip)
  pixel = out[:, :, 0, 0]
  np.testing.assert_allclose(pixel, pixel[:, :1].repeat(4, 1), atol=1e-6)


@pytest.mark.parametrize(
  ("strength", "reference"),
  [
    ("brightness", lambda x, d: x + d),
    (
      "contrast",
      lambda x, d: (x - x.mean((0, 1, 2))) * (1 + d) + x.mean((0, 1, 2)),
    ),
    (
      "saturation",
      lambda x, d: hsv(x, lambda h, s, v: (h, min(s * (1 + d), 1), v)),
    ),
    ("hue", lambda x, d: hsv(x, lambda h, s, v: ((h + d) % 1, s, v))),
  ],
)
def test_jitter_against_references(strength, reference):
  only = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)
  jitter = jax.jit(colour.ColourJitter(1.0, **(only | {strength: 0.3})))
  clip = 0.35 + 0.3 * frames()
  order = list(only).index(strength)
  for key in KEYS[:4]:
    draws = jax.random.uniform(
      jax.random.split(key)[1], (4,), minval=-1.0, maxval=1.0
    )
    want = reference(np.float64(clip), 0.3 * float(draws[order]))
    np.testing.assert_allclose(
      jitter(key, clip), np.clip(want, 0, 1), atol=2e-5
    )


SHUFFLED = (
  lambda x, d: x * (1 + d),
  lambda x, d: (x - x.mean((0, 1, 2))) * (1 + d) + x.mean((0, 1, 2)),
  lambda x, d: hsv(x, lambda h, s, v: (h, min(s * (1 + d), 1), v)),
  lambda x, d: hsv(x, lambda h, s, v: ((h + d) % 1, s, v)),
)


def test_shuffled_jitter_applies_each_in_the_order_drawn():
  """In float64, with the standard library's HSV, clipped after each."""
  jitter = jax.jit(colour.ShuffledColourJitter(1.0, 0.8, 0.7, 0.6, 0.2))
  clip = frames()
  orders = set()
  for key in KEYS[:12]:
    _, draw_key, order_key = jax.random.split(key, 3)
    draws = jax.random.uniform(draw_key, (4,), minval=-1.0, maxval=1.0)
    turns = np.asarray(jax.random.permutation(order_key, 4))
    want = np.float64(clip)
    for change in np.argsort(turns):
      strength = (0.8, 0.7, 0.6, 0.2)[change]
      want = SHUFFLED[change](want, strength * float(draws[change]))
      want = np.clip(want, 0, 1)
    np.testing.assert_allclose(jitter(key, clip), want, atol=2e-5)
    orders.add(tuple(turns))
  assert len(orders) > 8


def test_shuffled_jitter_draws_every_order_and_strength():
  """Of a grey clip, brightness leaves one number: its factor."""
  jitter = colour.ShuffledColourJitter(0.8, 0.8, 0.0, 0.0, 0.0)
  grey = jnp.full((2, 2, 2, 3), 0.5)
  keys = jax.random.split(jax.random.key(2), 2000)
  out = jax.jit(jax.vmap(jitter, in_axes=(0, None)))(keys, grey)
  factors = np.asarray(out)[:, 0, 0, 0, 0] / 0.5
  changed = factors[np.abs(factors - 1) > 1e-6]
  assert abs(len(changed) / 2000 - 0.8) < 0.05
  assert (
    scipy.stats.kstest(changed, scipy.stats.uniform(0.2, 1.6).cdf)[1] > 0.01
  )


def test_greyscale_is_luma():
  """Of OpenCV, which rounds BT.601's weights elsewhere."""
  clip = frames()
  grey = colour.Greyscale(1.0)(KEYS[0], clip)
  want = cv2.cvtColor(np.asarray(clip).reshape(-1, 6, 3), cv2.COLOR_RGB2GRAY)
  for channel in range(3):
    got = np.asarray(grey[..., channel]).reshape(-1, 6)
    np.testing.assert_allclose(got, want, atol=2e-4)
  np.testing.assert_array_equal(colour.Greyscale(0.0)(KEYS[0], clip), clip)


def test_solarize_is_pillows():
  values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, -1)
  out = colour.Solarize(1.0)(KEYS[0], jnp.float32(values) / 255)
  want = ImageOps.solarize(Image.fromarray(values[0]), threshold=128)
  np.testing.assert_allclose(out[0] * 255, np.asarray(want), atol=1e-3)


@pytest.mark.parametrize("transform", [colour.Greyscale, colour.Solarize])
def test_probabilities(transform):
  """A part of the clips is changed, the others are left as they are."""
  clip = frames(still=True)
  keys = jax.random.split(jax.random.key(3), 1000)
  apply = jax.jit(jax.vmap(transform(0.2), in_axes=(0, None)))
  changed = np.any(apply(keys, clip) != clip, axis=(2, 3, 4))
  assert np.all(changed == changed[:, :1])  # all frames of a clip, or none
  assert abs(np.mean(changed) - 0.2) < 0.05


def hsv(rgb, change):
  """Applies a change of hue, saturation and value by the standard library."""
  flat = [
    colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel)))
    for pixel in rgb.reshape(-1, 3)
  ]
  return np.array(flat).reshape(rgb.shape)


def test_replication_copies_each_channel():
  clip = frames()
  replicate = jax.vmap(colour.ChannelReplication(1.0), in_axes=(0, None))
  out = np.asarray(replicate(KEYS, clip))
  chosen = set()
  for one in out:
    matches = [c for c in range(3) if np.array_equal(one[..., 0], clip[..., c])]
    assert len(matches) == 1
    np.testing.assert_array_equal(one, one[..., :1].repeat(3, -1))
    chosen.add(matches[0])
  assert chosen == {0, 1, 2}


def test_replication_per_frame_draws_for_each():
  replicate = colour.ChannelReplication(1.0, per_frame=True)
  out = np.asarray(jax.vmap(replicate, in_axes=(0, None))(KEYS, frames()))
  still = np.asarray(
    jax.vmap(replicate, in_axes=(0, None))(KEYS, frames(still=True))
  )
  np.testing.assert_array_equal(out, out[..., :1].repeat(3, -1))
  assert any(not np.array_equal(one[0], one[1]) for one in still)
