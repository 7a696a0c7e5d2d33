"""Warps of a clip's frames: each pixel shows another place (DSM)."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import ndimage
from jaxtyping import Array, Float, Key


def sample(
  frame: Float[Array, "h w c"], places: Float[Array, "i j 2"]
) -> Float[Array, "i j c"]:
  """A frame's values at rows and columns: bilinear, beyond it its edge."""
  return jax.vmap(
    lambda plane: ndimage.map_coordinates(
      plane, [places[..., 0], places[..., 1]], order=1, mode="nearest"
    ),
    in_axes=-1,
    out_axes=-1,
  )(frame)


def pixel_places(height: int, width: int) -> Float[Array, "{height} {width} 2"]:
  """The row and the column of every pixel."""
  return jnp.stack(
    jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"),
    axis=-1,
    dtype=jnp.float32,
  )


@functools.cache
def spline_basis(points: int, height: int, width: int) -> np.ndarray:
  """How far each control point's offset moves each pixel.

  A thin-plate spline through given values at control points is linear in the
  values, and the points are fixed: so the inverse of its system is a constant.

  Args:
    points: Control points per side, on a regular grid from border to border.
    height: Of the frames.
    width: Of the frames.

  Returns:
    float32 [height * width, points²]; control points are ordered by row.
  """
  ticks = np.linspace(-1.0, 1.0, points)
  controls = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1)
  controls = controls.reshape(-1, 2)
  rows, columns = (np.linspace(-1.0, 1.0, size) for size in (height, width))
  pixels = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1)
  pixels = pixels.reshape(-1, 2)

  def terms(places: np.ndarray) -> np.ndarray:
    squares = np.sum((places[:, None] - controls) ** 2, axis=-1)
    kernel = 0.5 * squares * np.log(np.maximum(squares, 1e-30))  # r² log r
    return np.concatenate([kernel, np.ones((len(places), 1)), places], axis=1)

  # Weights of the kernels sum to zero, also against either coordinate.
  system = np.zeros((len(controls) + 3,) * 2)
  system[:-3] = terms(controls)
  system[-3:, :-3] = system[:-3, -3:].T
  basis = terms(pixels) @ np.linalg.inv(system)[:, : len(controls)]
  return basis.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class ThinPlateSpline:
  """DSM's spatial local disturbance: breaks the scene, keeps the motion.

  The pixels at the control points show the picture at a random offset, those
  between them at a smooth one. Choice: outside of the picture its edge goes on;
  the reference code shows black there, which would betray the warp. And it
  draws one warp for the whole batch, where here each clip has its own.

  Attributes:
    points: Control points per side, on a grid from border to border.
    offset: Largest offset along either axis; the picture is from -1 to 1.
  """

  points: int = 5
  offset: float = 0.1

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Warps one clip; every frame alike."""
    offsets = jax.random.uniform(
      key, (self.points**2, 2), minval=-self.offset, maxval=self.offset
    )
    return self.warp(offsets, frames)

  def warp(
    self, offsets: Float[Array, "n 2"], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Moves what control points show by given offsets of row and column."""
    _, height, width, _ = frames.shape
    basis = jnp.array(spline_basis(self.points, height, width))
    half = (jnp.array([height, width]) - 1) / 2
    shifts = jnp.matmul(
      basis, offsets * half, precision=jax.lax.Precision.HIGHEST
    ).reshape(height, width, 2)
    places = pixel_places(height, width) + shifts
    # The places are no part of what is mapped over: every index is computed
    # once, and reads all frames and channels.
    return jax.vmap(sample, in_axes=(0, None))(frames, places)
