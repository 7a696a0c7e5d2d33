"""Resampling against Pillow and hand-made inputs."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hdc_jax.augment import resampling


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
  size_in=st.integers(8, 40),
  size_out=st.integers(4, 40),
  data=st.data(),
)
def test_resize_is_pillows(size_in, size_out, data):
  """Cropping then resizing bilinearly with Pillow, antialiased."""
  length = data.draw(st.integers(4, size_in))
  start = data.draw(st.integers(0, size_in - length))
  row = np.random.default_rng(size_in).uniform(0, 255, size_in)
  matrix = resampling.resize_matrix(start, length, size_in, size_out)
  image = Image.fromarray(np.float32(row[None, start : start + length]))
  want = image.resize((size_out, 1), Image.Resampling.BILINEAR)
  np.testing.assert_allclose(matrix @ row, np.asarray(want)[0], atol=2e-2)


def test_whole_canvas_at_its_own_size_is_unchanged():
  np.testing.assert_allclose(
    resampling.resize_matrix(0, 16, 16, 16), np.eye(16), atol=1e-6
  )


def test_pixels_outside_of_the_crop_do_not_leak():
  plane = np.zeros((1, 16, 16, 1))
  plane[:, 4:12, 4:12] = 1.0
  out = resampling.resample(jnp.asarray(plane), resampling.Box(4, 4, 8, 8), 5)
  np.testing.assert_allclose(out, 1.0, atol=1e-6)
