"""Views of a batch: clips, keys and positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax.augment import geometry, views
from hdc_jax.methods import augmentations, hdc

BATCH, FRAMES, SIZE = 4, 3, 16


@pytest.fixture(scope="module")
def clips():
  """Two still clips per video, all different."""
  rng = np.random.default_rng(0)
  y = rng.integers(16, 236, (BATCH, 2, 1, SIZE, SIZE), np.uint8)
  uv = rng.integers(64, 192, (BATCH, 2, 1, SIZE // 2, SIZE // 2, 2), np.uint8)
  repeat = (1, 1, FRAMES, 1, 1)
  return {
    "y": jnp.asarray(np.tile(y, repeat)),
    "uv": jnp.asarray(np.tile(uv, (*repeat, 1))),
  }


@pytest.fixture(scope="module")
def make():
  """HDC's three views, jitted."""
  method = hdc.HDC().make(augmentations.Family(), 14)
  return jax.jit(lambda key, clips: views.make_views(method.views, key, clips))


@pytest.mark.slow
def test_shape_and_range(make, clips):
  out = make(jax.random.key(0), clips)
  assert out.shape == (BATCH, 3, FRAMES, 14, 14, 3)
  assert out.dtype == jnp.float32
  assert -1.0 <= out.min() < -0.5 < 0.5 < out.max() <= 1.0


def test_frames_alike_views_and_videos_not(make, clips):
  out = np.asarray(make(jax.random.key(0), clips))
  np.testing.assert_array_equal(out, out[:, :, :1].repeat(FRAMES, 2))
  flat = out[:, :, 0].reshape(BATCH * 3, -1)
  assert len(np.unique(flat, axis=0)) == BATCH * 3


def test_keys_depend_on_step_and_position_only(make, clips):
  """The same video at another position or step looks different."""
  same = jax.tree.map(lambda x: jnp.repeat(x[:1], BATCH, 0), clips)
  out = np.asarray(make(jax.random.key(0), same))
  assert len(np.unique(out[:, 0].reshape(BATCH, -1), axis=0)) == BATCH
  again = np.asarray(make(jax.random.key(0), same))
  np.testing.assert_array_equal(out, again)
  later = np.asarray(make(jax.random.key(1), same))
  assert not np.array_equal(out, later)


def test_views_show_their_clip(clips):
  centre = geometry.CentreCrop(SIZE)
  out = views.make_views(
    [views.View("first", 0, centre), views.View("second", 1, centre)],
    jax.random.key(0),
    clips,
  )
  for number in range(2):
    luma = (np.float32(clips["y"][:, number]) - 16.0) / 219 * 2 - 1
    # The weights of RGB in BT.601's luma.
    grey = out[:, number] @ jnp.array([0.299, 0.587, 0.114])
    unclipped = np.abs(np.asarray(out[:, number])).max(-1) < 1.0
    np.testing.assert_allclose(
      np.asarray(grey)[unclipped], luma[unclipped], atol=1e-4
    )


def test_extents_reach_their_clips(clips):
  """Each video's and clip's own; what else a batch holds is left alone."""
  rng = np.random.default_rng(0)
  extent = jnp.int32(2 * rng.integers(5, SIZE // 2 + 1, (BATCH, 2, 2)))
  batch = clips | {"extent": extent, "label": jnp.zeros((BATCH, 2), int)}
  centre = jax.jit(geometry.CentreCrop(6))
  key = jax.random.key(0)
  out = views.make_views([views.View("second", 1, centre)], key, batch)
  for video in range(BATCH):
    canvas = geometry.Canvas(
      clips["y"][video, 1], clips["uv"][video, 1], extent[video, 1]
    )
    want = centre(key, canvas) * 2 - 1
    np.testing.assert_allclose(out[video, 0], want, atol=1e-5)
