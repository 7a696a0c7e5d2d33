"""Where a view looks: crops of the host's canvas, resized for the model.

Resampling is two small matrix products per frame, which suits matrix units and
needs no gathers. Luma and chroma planes are cropped and resampled straight from
YUV 4:2:0 to the view's size, so chroma is interpolated only once.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Num, UInt8

from hdc_jax.augment import colour


class Canvas(NamedTuple):
  """The frames of one clip as the host sends them.

  Attributes:
    y: Luma.
    uv: Blue and red difference, each sample centred on 2×2 luma samples.
  """

  y: UInt8[Array, "t h w"]
  uv: UInt8[Array, "t h/2 w/2 2"]


class Box(NamedTuple):
  """A rectangle of the canvas, in luma pixels (scalars, possibly traced)."""

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
  """The linear map that crops [start, start + length) and resizes it.

  Triangle filter, widened when it reduces (antialiased) as in Pillow's
  BILINEAR; pixels outside of the crop do not contribute.

  Args:
    start: First pixel of the crop, may be fractional.
    length: Its extent in pixels.
    size_in: Pixels of the input.
    size_out: Pixels wanted.
  """
  scale = length / size_out
  support = jnp.maximum(scale, 1.0)
  centres = start + (jnp.arange(size_out) + 0.5) * scale
  pixels = jnp.arange(size_in) + 0.5
  distance = jnp.abs(pixels[None, :] - centres[:, None]) / support
  inside = (pixels > start) & (pixels < start + length)
  weights = jnp.where(inside, jnp.maximum(1.0 - distance, 0.0), 0.0)
  return weights / jnp.sum(weights, axis=1, keepdims=True)


def resample(
  planes: Num[Array, "t h w c"], box: Box, size: int
) -> Float[Array, "t {size} {size} c"]:
  """Crops `box` from every frame and resizes it to `size` × `size`."""
  _, height, width, _ = planes.shape
  rows = resize_matrix(box.top, box.height, height, size)
  columns = resize_matrix(box.left, box.width, width, size)
  return jnp.einsum(
    "ih,thwc,jw->tijc",
    rows,
    planes.astype(jnp.float32),
    columns,
    precision=jax.lax.Precision.HIGHEST,
  )


def crop(
  canvas: Canvas, box: Box, size: int
) -> Float[Array, "t {size} {size} 3"]:
  """The RGB frames in [0, 1] of a box of the canvas, resized."""
  luma = resample(canvas.y[..., None], box, size)
  chroma = resample(canvas.uv, Box(*(side / 2 for side in box)), size)
  return colour.yuv_to_rgb(jnp.concatenate([luma, chroma], axis=-1))


@dataclasses.dataclass(frozen=True)
class ScaleJitterCrop:
  """A random crop whose sides are drawn from a set (HDC, after TSN).

  Attributes:
    size: Height and width of the view.
    scales: The sides to draw from, height and width independently, as parts of
      the canvas. Choice: TSN's set {1, 0.875, 0.75, 0.66}.
  """

  size: int
  scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)

  def __call__(
    self, key: Key[Array, ""], canvas: Canvas
  ) -> Float[Array, "t h w 3"]:
    """Crops one clip; every frame alike."""
    _, height, width = canvas.y.shape
    scale_key, place_key = jax.random.split(key)
    scales = jax.random.choice(scale_key, jnp.array(self.scales), (2,))
    places = jax.random.uniform(place_key, (2,))
    sides = jnp.round(scales * jnp.array([height, width]))
    slack = jnp.array([height, width]) - sides
    starts = jnp.minimum(jnp.floor(places * (slack + 1)), slack)
    return crop(canvas, Box(*starts, *sides), self.size)


@dataclasses.dataclass(frozen=True)
class CentreCrop:
  """The centre of the canvas at its own resolution, for evaluation.

  Attributes:
    size: Height and width of the view, at most the canvas's.
  """

  size: int

  def __call__(
    self, key: Key[Array, ""], canvas: Canvas
  ) -> Float[Array, "t h w 3"]:
    """Crops one clip; the key is not used."""
    del key
    _, height, width = canvas.y.shape
    top, left = (height - self.size) // 2, (width - self.size) // 2
    return crop(canvas, Box(top, left, self.size, self.size), self.size)


@dataclasses.dataclass(frozen=True)
class RandomFlip:
  """Mirrors the whole clip left to right.

  Attributes:
    probability: Of mirroring.
  """

  probability: float = 0.5

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Flips one clip, or does not."""
    flip = jax.random.bernoulli(key, self.probability)
    return jnp.where(flip, frames[:, :, ::-1], frames)
