"""Where a view looks: crops of the host's canvas, resized for the model.

Resampling is two small matrix products per frame, which suits matrix units and
needs no gathers. Luma and chroma planes are cropped and resampled straight from
YUV 4:2:0 to the view's size, so chroma is interpolated only once.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, Key, Num, UInt8

from hdc_jax.augment import colour


class Canvas(NamedTuple):
  """The frames of one clip as the host sends them.

  Attributes:
    y: Luma.
    uv: Blue and red difference, each sample centred on 2×2 luma samples.
    extent: Height and width of the picture at the top left of a padded canvas;
      None if it fills the canvas. Crops stay within it.
  """

  y: UInt8[Array, "t h w"]
  uv: UInt8[Array, "t h/2 w/2 2"]
  extent: Int32[Array, "2"] | None = None

  @property
  def sides(self) -> Int32[Array, "2"]:
    """Height and width of the picture."""
    if self.extent is None:
      return jnp.array(self.y.shape[-2:])
    return self.extent


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


def separable(
  rows: Float[Array, "i h"],
  planes: Float[Array, "t h w c"],
  columns: Float[Array, "j w"],
) -> Float[Array, "t i j c"]:
  """Applies a linear map to the columns of every frame, another to its rows."""
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
  """Crops `box` from every frame and resizes it to `size` × `size`."""
  _, height, width, _ = planes.shape
  rows = resize_matrix(box.top, box.height, height, size)
  columns = resize_matrix(box.left, box.width, width, size)
  return separable(rows, planes.astype(jnp.float32), columns)


def crop(
  canvas: Canvas, box: Box, size: int
) -> Float[Array, "t {size} {size} 3"]:
  """The RGB frames in [0, 1] of a box of the canvas, resized."""
  luma = resample(canvas.y[..., None], box, size)
  chroma = resample(canvas.uv, Box(*(side / 2 for side in box)), size)
  return colour.yuv_to_rgb(jnp.concatenate([luma, chroma], axis=-1))


def random_starts(
  key: Key[Array, ""], slack: Num[Array, "2"]
) -> Float[Array, "2"]:
  """Whole pixels drawn uniformly from 0 to `slack`, both included."""
  places = jax.random.uniform(key, slack.shape)
  return jnp.minimum(jnp.floor(places * (slack + 1)), slack)


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
    scale_key, place_key = jax.random.split(key)
    scales = jax.random.choice(scale_key, jnp.array(self.scales), (2,))
    sides = jnp.round(scales * canvas.sides)
    starts = random_starts(place_key, canvas.sides - sides)
    return crop(canvas, Box(*starts, *sides), self.size)


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop:
  """A crop of random area and aspect ratio, resized (Inception; CVRL).

  The area is uniform and the logarithm of the aspect ratio is; the first of ten
  draws that fits is taken, or else the largest centred crop of an allowed
  ratio. Choice: this is torchvision's sampling. CVRL's reference calls
  TensorFlow's, which draws the ratio and then the height uniformly, and so
  favours wide crops where the range is symmetric in tall and wide.

  Attributes:
    size: Height and width of the view.
    area: Range of the crop's area, as a part of the picture's.
    aspect: Range of its width over its height.
  """

  size: int
  area: tuple[float, float] = (0.3, 1.0)
  aspect: tuple[float, float] = (0.5, 2.0)

  def __call__(
    self, key: Key[Array, ""], canvas: Canvas
  ) -> Float[Array, "t h w 3"]:
    """Crops one clip; every frame alike."""
    return crop(canvas, self.draw(key, canvas.sides), self.size)

  def draw(self, key: Key[Array, ""], sides: Num[Array, "2"]) -> Box:
    """A random box of whole pixels in a picture of these sides."""
    area_key, aspect_key, place_key = jax.random.split(key, 3)
    low, high = self.aspect
    areas = jax.random.uniform(
      area_key, (10,), minval=self.area[0], maxval=self.area[1]
    ) * jnp.prod(sides.astype(jnp.float32))
    aspects = jnp.exp(
      jax.random.uniform(
        aspect_key, (10,), minval=math.log(low), maxval=math.log(high)
      )
    )
    tries = jnp.round(
      jnp.sqrt(areas[:, None] * jnp.stack([1 / aspects, aspects], axis=1))
    )
    fits = jnp.all(tries <= sides, axis=1)
    height, width = sides
    aspect = jnp.clip(width / height, low, high)
    largest = jnp.round(
      jnp.minimum(sides, jnp.stack([width / aspect, height * aspect]))
    )
    found = jnp.any(fits)
    drawn = jnp.where(found, tries[jnp.argmax(fits)], largest)
    slack = sides - drawn
    starts = random_starts(place_key, slack)
    return Box(*jnp.where(found, starts, jnp.floor(slack / 2)), *drawn)


@dataclasses.dataclass(frozen=True)
class CentreCrop:
  """The centre of the canvas at its own resolution, for evaluation.

  Attributes:
    size: Height and width of the view, at most the picture's.
  """

  size: int

  def __call__(
    self, key: Key[Array, ""], canvas: Canvas
  ) -> Float[Array, "t h w 3"]:
    """Crops one clip; the key is not used."""
    del key
    starts = (canvas.sides - self.size) // 2
    return crop(canvas, Box(*starts, self.size, self.size), self.size)


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
