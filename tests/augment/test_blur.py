"""Blur against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from hdc_jax.augment import blur


def gaussian(frames, sigma, radius=11):
  """Of SciPy in float64, with zeros beyond the borders."""
  out = np.float64(frames)
  for axis in (1, 2):
    out = scipy.ndimage.gaussian_filter1d(
      out, sigma, axis, mode="constant", radius=radius
    )
  return out


@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0, 5.0])
@pytest.mark.parametrize("taps", [5, 23])
def test_is_scipys(sigma, taps):
  """The borders are darkened, and the kernel is cut, as SciPy does it."""
  frames = jax.random.uniform(jax.random.key(0), (2, 30, 17, 3))
  transform = jax.jit(blur.GaussianBlur(1.0, (sigma, sigma), taps))
  out = transform(jax.random.key(1), frames)
  want = gaussian(frames, sigma, taps // 2)
  np.testing.assert_allclose(out, want, atol=2e-6)


def test_one_sigma_per_clip_drawn_from_the_range():
  """The peak that is left of a point tells its sigma."""
  point = jnp.zeros((3, 23, 23, 3)).at[:, 11, 11].set(1.0)
  keys = jax.random.split(jax.random.key(0), 500)
  transform = blur.GaussianBlur(0.7, (0.5, 2.0))
  out = np.asarray(jax.jit(jax.vmap(transform, (0, None)))(keys, point))
  np.testing.assert_array_equal(out, out[:, :1].repeat(3, 1))
  peaks = out[:, 0, 11, 11, 0]
  assert abs(np.mean(peaks == 1.0) - 0.3) < 0.07
  blurred = peaks[peaks < 1.0]
  sigmas = np.linspace(0.5, 2.0, 5)
  limits = [gaussian(point, sigma)[0, 11, 11, 0] for sigma in sigmas]
  parts = [np.mean(blurred > limit) for limit in limits]
  np.testing.assert_allclose(parts, [0, 0.25, 0.5, 0.75, 1], atol=0.1)
  assert parts[0] == 0
  assert parts[-1] == 1


def test_stays_in_range():
  white = jnp.ones((1, 32, 32, 3))
  out = blur.GaussianBlur(1.0)(jax.random.key(0), white)
  assert out.max() <= 1.0
  assert out.min() > 0.2
