"""Warps against SciPy's splines and interpolation."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.interpolate
import scipy.ndimage
import scipy.stats

from hdc_jax.augment import warp

SPLINE = warp.ThinPlateSpline()
WARP = jax.jit(SPLINE.warp)


def smooth(height, width, frames=2):
  """A clip [frames, H, W, 3] of waves."""
  t, y, x, c = np.mgrid[:frames, :height, :width, :3]
  return jnp.float32(0.5 + 0.4 * np.sin(y / 5 + t) * np.cos(x / 7 + c))


def grid(height, width):
  """Rows and columns [H, W, 2] with the picture from -1 to 1."""
  ticks = (np.linspace(-1, 1, side) for side in (height, width))
  return np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1)


@pytest.mark.parametrize(("height", "width"), [(13, 13), (24, 17), (112, 112)])
def test_basis_is_scipys_spline(height, width):
  """Each column is SciPy's spline through 1 at one control point, else 0."""
  spline = scipy.interpolate.RBFInterpolator(
    grid(5, 5).reshape(25, 2),
    np.eye(25),
    kernel="thin_plate_spline",
    degree=1,
  )
  want = spline(grid(height, width).reshape(-1, 2))
  got = warp.spline_basis(5, height, width)
  assert got.dtype == np.float32
  # SciPy's value, rounded to float32: half a unit in the last place.
  np.testing.assert_allclose(np.float64(got), want, rtol=2**-24, atol=1e-13)


def test_zero_offsets_change_nothing():
  clip = smooth(20, 26)
  out = WARP(jnp.zeros((25, 2)), clip)
  np.testing.assert_allclose(out, clip, atol=1e-6)


def test_control_points_land_where_they_should():
  """The pixel at each control point shows the place its offset tells."""
  size = 41  # control points at every tenth pixel
  offsets = jax.random.uniform(
    jax.random.key(0), (25, 2), minval=-0.1, maxval=0.1
  )
  clip = smooth(size, size)
  out = WARP(offsets, clip)
  places = (grid(5, 5).reshape(25, 2) + offsets + 1) * (size - 1) / 2
  for channel in range(3):
    want = scipy.ndimage.map_coordinates(
      np.float64(clip[0, :, :, channel]), places.T, order=1, mode="nearest"
    )
    got = out[0, ::10, ::10, channel].reshape(-1)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_offsets_are_rows_then_columns():
  """One offset for all control points moves the picture as a whole."""
  clip = smooth(21, 41)
  offsets = jnp.tile(jnp.array([2 / 10, -3 / 20]), (25, 1))
  out = WARP(offsets, clip)
  np.testing.assert_allclose(out[:, :-2, 3:], clip[:, 2:, :-3], atol=1e-5)
  # Beyond the picture its edge goes on.
  want = jnp.broadcast_to(clip[:, 2:, :1], out[:, :-2, :3].shape)
  np.testing.assert_allclose(out[:, :-2, :3], want, atol=1e-5)


def test_draws_one_warp_per_clip():
  """Frames alike and clips not; offsets fill their range."""
  still = jnp.tile(smooth(24, 24, frames=1), (3, 1, 1, 1))
  keys = jax.random.split(jax.random.key(0), 4)
  out = np.asarray(jax.jit(jax.vmap(SPLINE, in_axes=(0, None)))(keys, still))
  np.testing.assert_array_equal(out, out[:, :1].repeat(3, 1))
  assert len(np.unique(out.round(4), axis=0)) == 4


def test_offsets_are_uniform():
  """A clip whose colours are its places shows the offsets drawn."""
  places = jnp.float32(grid(5, 5))
  clip = jnp.concatenate([places, places[..., :1]], axis=-1)[None]
  keys = jax.random.split(jax.random.key(0), 200)
  out = jax.jit(jax.vmap(SPLINE, in_axes=(0, None)))(keys, clip)
  inner = np.asarray((out - clip)[:, 0, 1:-1, 1:-1, :2]).reshape(-1)
  assert np.abs(inner).max() <= 0.1 + 1e-5
  uniform = scipy.stats.uniform(-0.1, 0.2)
  assert scipy.stats.kstest(inner, uniform.cdf).pvalue > 0.01


@pytest.mark.parametrize("degrees", [-10.0, 0.0, 7.3, 90.0])
@pytest.mark.parametrize("size", [(12, 15), (9, 9)])
def test_rotation_is_opencvs(degrees, size):
  """`warpAffine`, which rounds coordinates to 1/32 of a pixel."""
  height, width = size
  # Smooth, so that rounded coordinates hardly matter.
  rows, columns = np.mgrid[:height, :width] / 6
  frame = np.stack([np.sin(rows), np.cos(columns), rows * columns], -1)
  frame = np.float32(frame)
  centre = ((width - 1) / 2, (height - 1) / 2)
  matrix = cv2.getRotationMatrix2D(centre, degrees, 1.0)
  want = cv2.warpAffine(
    frame,
    matrix,
    (width, height),
    flags=cv2.INTER_LINEAR,
    borderMode=cv2.BORDER_REPLICATE,
  )
  got = warp.rotate(jnp.array(np.stack([frame, frame * 2])), degrees)
  np.testing.assert_allclose(got[0], want, atol=0.02)
  np.testing.assert_allclose(got[1], 2 * want, atol=0.04)


def test_rotation_is_scipys():
  """Within the picture, exactly: bilinear at coordinates turned in NumPy."""
  frame = np.random.default_rng(0).random((11, 11))
  got = warp.rotate(jnp.float32(frame)[None, ..., None].repeat(3, -1), 10.0)
  want = scipy.ndimage.rotate(
    frame, 10.0, reshape=False, order=1, mode="nearest"
  )
  np.testing.assert_allclose(got[0, ..., 0], want, atol=1e-5)


def test_angles_are_uniform_and_one_for_a_clip():
  """The angle of a clip, read from where a rotated ramp points."""
  rows, columns = np.mgrid[:9, :9] - 4.0
  clip = np.float32(np.stack([rows, columns, columns], -1))[None].repeat(2, 0)
  keys = jax.random.split(jax.random.key(0), 500)
  rotate = jax.jit(jax.vmap(warp.RandomRotation(20.0), in_axes=(0, None)))
  turned = np.asarray(rotate(keys, jnp.array(clip)))
  np.testing.assert_array_equal(turned[:, 0], turned[:, 1])
  # The pixel right of the centre comes from (row, column) = (-sin, cos).
  row, column, _ = np.moveaxis(turned[:, 0, 4, 5], -1, 0)
  angles = np.rad2deg(np.arctan2(-row, column))
  uniform = scipy.stats.uniform(-20, 40)
  assert scipy.stats.kstest(angles, uniform.cdf).pvalue > 1e-3
