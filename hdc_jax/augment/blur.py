"""Gaussian blur as two banded matrix products per frame."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hdc_jax.augment import geometry


def blur_matrix(
  sigma: Float[Array, ""] | float, taps: int, size: int
) -> Float[Array, "{size} {size}"]:
  """The linear map that blurs a row of pixels.

  The Gaussian is cut to `taps` (odd) and sums to one; beyond the borders is
  zero, so that blurring darkens them, as `SAME` padding does in the reference.

  Args:
    sigma: Standard deviation in pixels.
    taps: Width of the kernel.
    size: Pixels of the row.
  """
  radius = taps // 2
  kernel = jnp.exp(-0.5 * (jnp.arange(-radius, radius + 1) / sigma) ** 2)
  pixels = jnp.arange(size)
  offsets = pixels[None, :] - pixels[:, None]
  weights = jnp.exp(-0.5 * (offsets / sigma) ** 2) / jnp.sum(kernel)
  return jnp.where(jnp.abs(offsets) <= radius, weights, 0.0)


@dataclasses.dataclass(frozen=True)
class GaussianBlur:
  """Blurs every frame alike (CVRL).

  Attributes:
    probability: Of blurring a clip at all.
    sigma: Range from which the standard deviation is drawn, in pixels.
    taps: Width of the kernel. 23 is the reference's for frames of 224, a tenth
      of the height.
  """

  probability: float = 0.5
  sigma: tuple[float, float] = (0.1, 2.0)
  taps: int = 23

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Blurs one clip, or does not."""
    apply_key, sigma_key = jax.random.split(key)
    low, high = self.sigma
    sigma = jax.random.uniform(sigma_key, minval=low, maxval=high)
    rows, columns = (
      blur_matrix(sigma, self.taps, size) for size in frames.shape[1:3]
    )
    blurred = jnp.clip(geometry.separable(rows, frames, columns), 0.0, 1.0)
    blur = jax.random.bernoulli(apply_key, self.probability)
    return jnp.where(blur, blurred, frames)
