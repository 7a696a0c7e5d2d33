"""Colours against FFmpeg, the standard library and hand-made inputs."""

import colorsys

import av
import jax
import jax.numpy as jnp
import numpy as np
import pytest

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


def test_jitter_is_one_function_of_colour_per_clip():
  """Equal pixels of different frames stay equal: no frame is treated apart.

  Contrast about the mean of each frame would fail this.
  """
  clip = frames()
  clip = clip.at[:, 0, 0].set(jnp.array([0.3, 0.5, 0.6]))
  out = jax.vmap(colour.ColourJitter(1.0), in_axes=(0, None))(KEYS, clip)
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
  jitter = colour.ColourJitter(1.0, **(only | {strength: 0.3}))
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
