"""Crops of the host's canvas, resized to the size of a view, and flips.

Luma and chroma planes are each cropped and resampled directly from YUV 4:2:0 to
the view's size, so that chroma is interpolated only once.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, Key, Num, UInt8

from hdc_jax.augment import colour, resampling
from hdc_jax.augment.resampling import Box


class Canvas(NamedTuple):
  """The frames of one clip as the host sends them, in YUV 4:2:0.

  Attributes:
    y: uint8 [T, H, W], luma.
    uv: uint8 [T, H/2, W/2, 2], blue and red difference, each sample centred on
      2×2 luma samples.
    extent: int32 [2], height and width of the picture at the top left of a
      padded canvas, in luma pixels; None if the picture fills the canvas. Crops
      stay within the picture.
  """

  y: UInt8[Array, "t h w"]
  uv: UInt8[Array, "t h/2 w/2 2"]
  extent: Int32[Array, "2"] | None = None

  @property
  def sides(self) -> Int32[Array, "2"]:
    """int32 [2], height and width of the picture in luma pixels."""
    if self.extent is None:
      return jnp.array(self.y.shape[-2:])
    return self.extent


def crop(
  canvas: Canvas, box: Box, size: int
) -> Float[Array, "t {size} {size} 3"]:
  """Crops a box of the canvas, resizes it to a square and converts it to RGB.

  Args:
    canvas: Frames of one clip.
    box: Rectangle to crop, in luma pixels.
    size: Height and width of the result in pixels.

  Returns:
    float32 [T, size, size, 3], RGB in [0, 1].
  """
  luma = resampling.resample(canvas.y[..., None], box, size)
  half = Box(*(side / 2 for side in box))
  chroma = resampling.resample(canvas.uv, half, size)
  return colour.yuv_to_rgb(jnp.concatenate([luma, chroma], axis=-1))


def random_starts(
  key: Key[Array, ""], slack: Num[Array, "2"]
) -> Float[Array, "2"]:
  """Draws whole pixels uniformly from 0 to `slack`, both included.

  Args:
    key: Random key.
    slack: [2], the highest row and the highest column, whole numbers of pixels.

  Returns:
    float32 [2], a row and a column.
  """
  fractions = jax.random.uniform(key, slack.shape)
  return jnp.minimum(jnp.floor(fractions * (slack + 1)), slack)


@dataclasses.dataclass(frozen=True)
class ScaleJitterCrop:
  """A random crop whose sides are drawn from a set (HDC, after TSN).

  Attributes:
    size: Height and width of the view in pixels.
    scales: Fractions of the picture's short side, from which the height and the
      width of the crop are drawn, see `pairs`. Choice: TSN's set {1, 0.875,
      0.75, 0.66}, as HDC crops after TSN.
    max_distort: By how many places in `scales` height and width may differ.
      Choice: TSN's 1, which keeps the aspect ratio of a crop between 0.857 and
      1.167. With the number of scales less 1, or more, height and width are
      independent.
  """

  size: int
  scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
  max_distort: int = 1

  @property
  def pairs(self) -> tuple[tuple[float, float], ...]:
    """The fractions of height and width to draw from, all equally likely.

    Example:
      >>> ScaleJitterCrop(size=112, scales=(1.0, 0.875, 0.75)).pairs
      ((1.0, 1.0), (1.0, 0.875), (0.875, 1.0), (0.875, 0.875), (0.875, 0.75), \
(0.75, 0.875), (0.75, 0.75))
    """
    places = range(len(self.scales))
    return tuple(
      (self.scales[i], self.scales[j])
      for i in places
      for j in places
      if abs(i - j) <= self.max_distort
    )

  def areas(self, height: float, width: float) -> tuple[float, float]:
    """Smallest and largest area of a crop of a picture, in square pixels."""
    square = min(height, width) ** 2
    return min(self.scales) ** 2 * square, max(self.scales) ** 2 * square

  def __call__(
    self, key: Key[Array, ""], canvas: Canvas
  ) -> Float[Array, "t h w 3"]:
    """Crops all frames of one clip by the same random box.

    Args:
      key: Random key of the clip.
      canvas: Frames of the clip.

    Returns:
      float32 [T, size, size, 3], RGB in [0, 1].
    """
    return crop(canvas, self.draw(key, canvas.sides), self.size)

  def draw(self, key: Key[Array, ""], sides: Num[Array, "2"]) -> Box:
    """Draws a random box of whole pixels.

    Args:
      key: Random key of the clip.
      sides: [2], height and width of the picture in pixels.

    Returns:
      The box, which lies within the picture.
    """
    scale_key, place_key = jax.random.split(key)
    scales = jax.random.choice(scale_key, jnp.array(self.pairs))
    # As in TSN, of the short side: fractions of height and width would squeeze
    # pictures that are not square.
    crop_sides = jnp.round(scales * jnp.min(sides))
    starts = random_starts(place_key, sides - crop_sides)
    return Box(*starts, *crop_sides)


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop:
  """A crop of random area and aspect ratio, resized (Inception; CVRL).

  The area and the logarithm of the aspect ratio are uniform. The first of ten
  draws that fits into the picture is taken; if none fits, the largest centred
  crop of an allowed ratio. Choice: this is torchvision's sampling. CVRL's
  reference code calls TensorFlow's, which draws the ratio and then the height
  uniformly, and so favours wide crops over tall ones even where the range of
  ratios is symmetric, such as (0.5, 2).

  Attributes:
    size: Height and width of the view in pixels.
    area: Lowest and highest area of the crop, as a fraction of the picture's.
    aspect: Lowest and highest aspect ratio of the crop, width over height.
  """

  size: int
  area: tuple[float, float] = (0.3, 1.0)
  aspect: tuple[float, float] = (0.5, 2.0)

  def areas(self, height: float, width: float) -> tuple[float, float]:
    """Smallest and largest area of a crop of a picture, in square pixels."""
    low, high = self.area
    return low * height * width, high * height * width

  def __call__(
    self, key: Key[Array, ""], canvas: Canvas
  ) -> Float[Array, "t h w 3"]:
    """Crops all frames of one clip by the same random box.

    Args:
      key: Random key of the clip.
      canvas: Frames of the clip.

    Returns:
      float32 [T, size, size, 3], RGB in [0, 1].
    """
    return crop(canvas, self.draw(key, canvas.sides), self.size)

  def draw(self, key: Key[Array, ""], sides: Num[Array, "2"]) -> Box:
    """Draws a random box of whole pixels.

    Args:
      key: Random key of the clip.
      sides: [2], height and width of the picture in pixels.

    Returns:
      The box, which lies within the picture.
    """
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
    candidates = jnp.round(
      jnp.sqrt(areas[:, None] * jnp.stack([1 / aspects, aspects], axis=1))
    )
    fits = jnp.all(candidates <= sides, axis=1)
    height, width = sides
    aspect = jnp.clip(width / height, low, high)
    largest = jnp.round(
      jnp.minimum(sides, jnp.stack([width / aspect, height * aspect]))
    )
    any_fits = jnp.any(fits)
    crop_sides = jnp.where(any_fits, candidates[jnp.argmax(fits)], largest)
    slack = sides - crop_sides
    starts = random_starts(place_key, slack)
    top, left = jnp.where(any_fits, starts, jnp.floor(slack / 2))
    return Box(top, left, *crop_sides)


@dataclasses.dataclass(frozen=True)
class CentreCrop:
  """The centre of the picture at its own resolution, for evaluation.

  Attributes:
    size: Height and width of the view in pixels, at most the picture's.
  """

  size: int

  def __call__(
    self, key: Key[Array, ""], canvas: Canvas
  ) -> Float[Array, "t h w 3"]:
    """Crops the centre of one clip.

    Args:
      key: Unused; all crops are called alike.
      canvas: Frames of the clip.

    Returns:
      float32 [T, size, size, 3], RGB in [0, 1].
    """
    del key
    top, left = (canvas.sides - self.size) // 2
    return crop(canvas, Box(top, left, self.size, self.size), self.size)


@dataclasses.dataclass(frozen=True)
class WholePicture:
  """The whole picture, resized, for windows that a test has cut already.

  Attributes:
    size: Height and width of the view in pixels.
  """

  size: int

  def __call__(
    self, key: Key[Array, ""], canvas: Canvas
  ) -> Float[Array, "t h w 3"]:
    """Resizes one clip.

    Args:
      key: Unused; all crops are called alike.
      canvas: Frames of the clip.

    Returns:
      float32 [T, size, size, 3], RGB in [0, 1].
    """
    del key
    return crop(canvas, Box(0, 0, *canvas.sides), self.size)


@dataclasses.dataclass(frozen=True)
class RandomFlip:
  """Mirrors the whole clip left to right.

  Attributes:
    probability: Probability that a clip is mirrored.

  Example:
    A flip with probability 1 reverses the columns of every frame.

    >>> ramp = jnp.arange(3.0)[None, None, :, None] / 2
    >>> frames = jnp.broadcast_to(ramp, (2, 1, 3, 3))  # T = 2, H = 1, W = 3
    >>> flip = RandomFlip(probability=1.0)
    >>> flip(jax.random.key(0), frames)[:, 0, :, 0].tolist()
    [[1.0, 0.5, 0.0], [1.0, 0.5, 0.0]]
  """

  probability: float = 0.5

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Flips one clip with the given probability.

    Args:
      key: Random key of the clip.
      frames: float32 [T, H, W, 3].

    Returns:
      float32 [T, H, W, 3].
    """
    flip = jax.random.bernoulli(key, self.probability)
    return jnp.where(flip, frames[:, :, ::-1], frames)
