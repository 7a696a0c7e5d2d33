"""Gaussian blur as two banded matrix products per frame."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hdc_jax.augment import resampling


def blur_matrix(
  sigma: Float[Array, ""] | float, taps: int, size: int
) -> Float[Array, "{size} {size}"]:
  """The linear map that blurs a row of pixels.

  The Gaussian is truncated to `taps` pixels and normalised to sum 1. Pixels
  beyond the borders count as zero, so that blurring darkens the borders, as
  `SAME` padding does in CVRL's reference code.

  Args:
    sigma: Standard deviation in pixels.
    taps: Width of the kernel in pixels, odd.
    size: Number of pixels in the row.

  Returns:
    float32 [size, size], the matrix whose product with a row is the blurred
    row.
  """
  radius = taps // 2
  kernel = jnp.exp(-0.5 * (jnp.arange(-radius, radius + 1) / sigma) ** 2)
  pixels = jnp.arange(size)
  offsets = pixels[None, :] - pixels[:, None]
  weights = jnp.exp(-0.5 * (offsets / sigma) ** 2) / jnp.sum(kernel)
  return jnp.where(jnp.abs(offsets) <= radius, weights, 0.0)


@dataclasses.dataclass(frozen=True)
class GaussianBlur:
  """Blurs all frames of a clip by the same Gaussian, or none (CVRL).

  Attributes:
    probability: Probability that a clip is blurred.
    sigma: Lowest and highest standard deviation in pixels; each clip draws its
      own uniformly from this range.
    taps: Width of the kernel in pixels, odd. The reference code uses 23 for
      frames of 224 pixels, a tenth of their height.
  """

  probability: float = 0.5
  sigma: tuple[float, float] = (0.1, 2.0)
  taps: int = 23

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Blurs one clip with the given probability.

    Args:
      key: Random key of the clip.
      frames: float32 [T, H, W, 3], RGB in [0, 1].

    Returns:
      float32 [T, H, W, 3], RGB in [0, 1].
    """
    apply_key, sigma_key = jax.random.split(key)
    low, high = self.sigma
    sigma = jax.random.uniform(sigma_key, minval=low, maxval=high)
    rows, columns = (
      blur_matrix(sigma, self.taps, size) for size in frames.shape[1:3]
    )
    blurred = jnp.clip(resampling.separable(rows, frames, columns), 0.0, 1.0)
    blur = jax.random.bernoulli(apply_key, self.probability)
    return jnp.where(blur, blurred, frames)
