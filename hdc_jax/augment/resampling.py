"""Crops and resizes frames by two small matrix products per frame.

Matrix products suit the matrix units of accelerators, and need no gathers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num


class Box(NamedTuple):
  """A rectangle of the canvas in luma pixels.

  All four are scalars, which may be traced.

  Attributes:
    top: First row, counted from the top of the canvas.
    left: First column, counted from the left of the canvas.
    height: Number of rows.
    width: Number of columns.
  """

  top: Num[Array, ""] | float | int
  left: Num[Array, ""] | float | int
  height: Num[Array, ""] | float | int
  width: Num[Array, ""] | float | int


def resize_matrix(
  start: Num[Array, ""] | float | int,
  length: Num[Array, ""] | float | int,
  size_in: int,
  size_out: int,
) -> Float[Array, "size_out size_in"]:
  """The linear map that crops [start, start + length) of a row and resizes it.

  The filter is a triangle, widened when the row shrinks (antialiased), as
  BILINEAR in Pillow. Pixels outside of the crop do not contribute.

  Args:
    start: First pixel of the crop; may be fractional.
    length: Length of the crop in pixels; may be fractional.
    size_in: Number of pixels in the input row.
    size_out: Number of pixels in the output row.

  Returns:
    float32 [size_out, size_in], the matrix whose product with a row is the
    resized crop.

  Example:
    The last four of six pixels, enlarged to eight: only pixels of the crop
    contribute, and the first two of them have these weights at its start.

    >>> matrix = resize_matrix(start=2, length=4, size_in=6, size_out=8)
    >>> print(matrix[:4])
    [[0.   0.   1.   0.   0.   0.  ]
     [0.   0.   0.75 0.25 0.   0.  ]
     [0.   0.   0.25 0.75 0.   0.  ]
     [0.   0.   0.   0.75 0.25 0.  ]]
  """
  scale = length / size_out
  support = jnp.maximum(scale, 1.0)
  centres = start + (jnp.arange(size_out) + 0.5) * scale
  pixels = jnp.arange(size_in) + 0.5
  distance = jnp.abs(pixels[None, :] - centres[:, None]) / support
  inside = (pixels > start) & (pixels < start + length)
  weights = jnp.where(inside, jnp.maximum(1.0 - distance, 0.0), 0.0)
  return weights / jnp.sum(weights, axis=1, keepdims=True)


def separable(
  rows: Float[Array, "i h"],
  planes: Float[Array, "t h w c"],
  columns: Float[Array, "j w"],
) -> Float[Array, "t i j c"]:
  """Applies one linear map along the height and one along the width of frames.

  Args:
    rows: float32 [I, H], the map along the height.
    planes: float32 [T, H, W, C], the frames.
    columns: float32 [J, W], the map along the width.

  Returns:
    float32 [T, I, J, C].
  """
  return jnp.einsum(
    "ih,thwc,jw->tijc",
    rows,
    planes,
    columns,
    precision=jax.lax.Precision.HIGHEST,
  )


def resample(
  planes: Num[Array, "t h w c"], box: Box, size: int
) -> Float[Array, "t {size} {size} c"]:
  """Crops the same box from every frame and resizes it to a square.

  Args:
    planes: [T, H, W, C] of any numeric dtype.
    box: Rectangle to crop, in pixels of `planes`.
    size: Height and width of the result in pixels.

  Returns:
    float32 [T, size, size, C], in the range of `planes`.
  """
  _, height, width, _ = planes.shape
  rows = resize_matrix(box.top, box.height, height, size)
  columns = resize_matrix(box.left, box.width, width, size)
  return separable(rows, planes.astype(jnp.float32), columns)
