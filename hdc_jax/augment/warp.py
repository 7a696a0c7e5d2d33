"""Warps of frames by bilinear sampling: splines and rotations (DSM)."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import ndimage
from jaxtyping import Array, Float, Key


def sample(
  frame: Float[Array, "h w c"], coordinates: Float[Array, "i j 2"]
) -> Float[Array, "i j c"]:
  """Samples a frame bilinearly at fractional coordinates.

  Args:
    frame: float32 [H, W, C].
    coordinates: float32 [I, J, 2], a row and a column in pixels for each value.
      Beyond the frame, the value of the nearest edge is taken.

  Returns:
    float32 [I, J, C].

  Example:
    A quarter of the way between the two columns of a frame, and beyond it.

    >>> frame = jnp.array([[[0.0], [1.0]]])  # H = 1, W = 2, C = 1
    >>> coordinates = jnp.array([[[0.0, 0.25], [0.0, 5.0]]])
    >>> sample(frame, coordinates)[0, :, 0].tolist()
    [0.25, 1.0]
  """
  return jax.vmap(
    lambda plane: ndimage.map_coordinates(
      plane, [coordinates[..., 0], coordinates[..., 1]], order=1, mode="nearest"
    ),
    in_axes=-1,
    out_axes=-1,
  )(frame)


def pixel_coordinates(
  height: int, width: int
) -> Float[Array, "{height} {width} 2"]:
  """The row and the column of every pixel, float32 [height, width, 2]."""
  return jnp.stack(
    jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"),
    axis=-1,
    dtype=jnp.float32,
  )


@functools.cache
def spline_basis(points: int, height: int, width: int) -> np.ndarray:
  """The matrix that interpolates values at control points to every pixel.

  A thin-plate spline is linear in the values that it interpolates, and the
  control points are the same for every clip, on a regular grid from border to
  border. So the linear system is solved once, on the host, and a warp on the
  device is one matrix product with the random offsets of its clip.

  The spline is that of SciPy's
  `RBFInterpolator(controls, values, kernel="thin_plate_spline", degree=1)`; the
  entries of the matrix are SciPy's, rounded to float32. Choice: it is
  computed here nevertheless, because SciPy rounds some entries differently,
  which would change the views of runs that exist already.

  Args:
    points: Number of control points per side.
    height: Height of the frames in pixels.
    width: Width of the frames in pixels.

  Returns:
    float32 [height · width, points²]; pixels and control points are ordered by
    row.
  """

  def grid(rows: int, columns: int) -> np.ndarray:
    """Coordinates [rows · columns, 2] of a grid over [-1, 1]²."""
    ticks = (np.linspace(-1.0, 1.0, size) for size in (rows, columns))
    return np.stack(np.meshgrid(*ticks, indexing="ij"), -1).reshape(-1, 2)

  controls = grid(points, points)

  def terms(coordinates: np.ndarray) -> np.ndarray:
    """The kernels r² log r about all control points, and 1, row and column."""
    squares = np.sum((coordinates[:, None] - controls) ** 2, axis=-1)
    kernels = 0.5 * squares * np.log(np.maximum(squares, 1e-30))
    ones = np.ones((len(coordinates), 1))
    return np.concatenate([kernels, ones, coordinates], axis=1)

  # The last three equations make the weights of the kernels orthogonal to every
  # affine function, as the definition of the spline demands.
  system = np.zeros((len(controls) + 3,) * 2)
  system[:-3] = terms(controls)
  system[-3:, :-3] = system[:-3, -3:].T
  inverse = np.linalg.inv(system)[:, : len(controls)]
  return (terms(grid(height, width)) @ inverse).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class ThinPlateSpline:
  """DSM's spatial local disturbance: breaks the scene, keeps the motion.

  Each control point has a random offset, which a thin-plate spline interpolates
  to all pixels; every pixel shows the picture at its own position plus its
  offset, in all frames alike. Choice: beyond the picture the nearest edge is
  shown. The reference code shows black there, by which a network could
  recognise a warped view. Choice: each clip has a warp of its own. The
  reference code draws one warp for the whole batch.

  Attributes:
    points: Number of control points per side, on a regular grid from border to
      border.
    offset: Largest offset along either axis, in units in which the picture
      spans [-1, 1]; offsets are drawn from [-offset, offset].
  """

  points: int = 5
  offset: float = 0.1

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Warps all frames of one clip by the same random offsets.

    Args:
      key: Random key of the clip.
      frames: float32 [T, H, W, 3], RGB.

    Returns:
      float32 [T, H, W, 3], RGB.
    """
    offsets = jax.random.uniform(
      key, (self.points**2, 2), minval=-self.offset, maxval=self.offset
    )
    return self.warp(offsets, frames)

  def warp(
    self, offsets: Float[Array, "n 2"], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Warps all frames of one clip by given offsets.

    Args:
      offsets: float32 [points², 2], offset of row and column at each control
        point, ordered by row, in units in which the picture spans [-1, 1].
      frames: float32 [T, H, W, 3], RGB.

    Returns:
      float32 [T, H, W, 3], RGB.

    Example:
      The same offset at all control points shifts the picture: 2 / 3 of half
      its width is one of four columns.

      >>> ramp = jnp.arange(4.0)[None, None, :, None]
      >>> frames = jnp.broadcast_to(ramp, (1, 4, 4, 3))  # T = 1, H = W = 4
      >>> offsets = jnp.tile(jnp.array([0.0, 2 / 3]), (25, 1))
      >>> warped = ThinPlateSpline().warp(offsets, frames)
      >>> print(warped[0, 0, :, 0].round(2))
      [1. 2. 3. 3.]
    """
    _, height, width, _ = frames.shape
    basis = jnp.array(spline_basis(self.points, height, width))
    half = (jnp.array([height, width]) - 1) / 2
    shifts = jnp.matmul(
      basis, offsets * half, precision=jax.lax.Precision.HIGHEST
    ).reshape(height, width, 2)
    coordinates = pixel_coordinates(height, width) + shifts
    # All frames share the coordinates, so that each index is computed once and
    # reads all frames and channels.
    return jax.vmap(sample, in_axes=(0, None))(frames, coordinates)


@dataclasses.dataclass(frozen=True)
class RandomRotation:
  """Rotates the whole clip about its centre by one random angle (DSM).

  Choice: the view is rotated, after it is cropped, and beyond its border the
  pixels of the nearest edge are repeated. DSM's code rotates the whole frame,
  takes the nearest pixel, and shows black beyond the border.

  Attributes:
    degrees: Largest angle in degrees; angles are drawn from
      [-degrees, degrees].
  """

  degrees: float = 10.0

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Rotates all frames of one clip by the same random angle.

    Args:
      key: Random key of the clip.
      frames: float32 [T, H, W, 3], RGB.

    Returns:
      float32 [T, H, W, 3], RGB.
    """
    angle = jax.random.uniform(key, minval=-self.degrees, maxval=self.degrees)
    return rotate(frames, angle)


def rotate(
  frames: Float[Array, "t h w 3"], degrees: Float[Array, ""] | float
) -> Float[Array, "t h w 3"]:
  """Rotates all frames of one clip about their centre, by bilinear sampling.

  Args:
    frames: float32 [T, H, W, 3], RGB.
    degrees: Angle in degrees, counter-clockwise.

  Returns:
    float32 [T, H, W, 3], RGB.

  Example:
    A quarter turn takes the right column to the top.

    >>> ramp = jnp.arange(3.0)[None, None, :, None]
    >>> frames = jnp.broadcast_to(ramp, (1, 3, 3, 3))  # T = 1, H = W = 3
    >>> print(rotate(frames, 90.0)[0, :, 0, 0].round(2))
    [2. 1. 0.]
  """
  _, height, width, _ = frames.shape
  centre = (jnp.array([height, width]) - 1) / 2
  angle = jnp.deg2rad(degrees)
  cosine, sine = jnp.cos(angle), jnp.sin(angle)
  rows, columns = jnp.moveaxis(pixel_coordinates(height, width) - centre, -1, 0)
  # Where the content of each pixel comes from: elementwise, because TPUs would
  # round a matrix product to bfloat16.
  sources = jnp.stack(
    [cosine * rows + sine * columns, cosine * columns - sine * rows], axis=-1
  )
  return jax.vmap(sample, in_axes=(0, None))(frames, sources + centre)
