"""Colour transforms of a clip, by dm-pix where it has them.

Every transform draws its random numbers once per clip, so that all frames of a
clip are changed alike.
"""

import dataclasses

import dm_pix as pix
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

# BT.601: red, green and blue as sums of luma, blue and red difference.
_RGB_FROM_YUV = (
  (1.0, 0.0, 1.402),
  (1.0, -0.344136, -0.714136),
  (1.0, 1.772, 0.0),
)
# The weights of red, green and blue in luma, rounded as TensorFlow does.
_LUMA = (0.2989, 0.5870, 0.1140)


def yuv_to_rgb(yuv: Float[Array, "t h w 3"]) -> Float[Array, "t h w 3"]:
  """Converts BT.601 limited-range YUV to RGB.

  Args:
    yuv: float32 [T, H, W, 3], values of 8 bits: luma 16 to 235, blue and red
      difference 16 to 240 around 128.

  Returns:
    float32 [T, H, W, 3], RGB clipped to [0, 1].

  Example:
    Luma 16 is black and luma 235 is white, if the differences are neutral.

    >>> yuv = jnp.array([[16.0, 128.0, 128.0], [235.0, 128.0, 128.0]])
    >>> print(yuv_to_rgb(yuv[None, None])[0, 0].round(2))  # T = H = 1, W = 2
    [[0. 0. 0.]
     [1. 1. 1.]]
  """
  scaled = (yuv - jnp.array([16.0, 128.0, 128.0])) / jnp.array(
    [219.0, 224.0, 224.0]
  )
  rgb = jnp.einsum(
    "thwc,rc->thwr",
    scaled,
    jnp.array(_RGB_FROM_YUV),
    precision=jax.lax.Precision.HIGHEST,
  )
  return jnp.clip(rgb, 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class ColourJitter:
  """Random brightness, contrast, saturation and hue, in this order.

  Choice: HDC names colour jitter without its strength; these are the strengths
  common in contrastive learning (SimCLR at half strength).

  Attributes:
    probability: Probability that a clip is jittered.
    brightness: Largest shift of all channels, whose range is [0, 1]; the shift
      is drawn from [-brightness, brightness].
    contrast: Half-width of the range [1 - contrast, 1 + contrast] from which
      the contrast factor is drawn. It scales the distance to the mean of each
      channel over the whole clip, so that all frames change alike.
    saturation: Half-width of the range [1 - saturation, 1 + saturation] from
      which the saturation factor is drawn.
    hue: Largest rotation of the hue, as a fraction of the colour circle; the
      rotation is drawn from [-hue, hue].
  """

  probability: float = 0.8
  brightness: float = 0.4
  contrast: float = 0.4
  saturation: float = 0.4
  hue: float = 0.1

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Jitters one clip with the given probability.

    Args:
      key: Random key of the clip.
      frames: float32 [T, H, W, 3], RGB in [0, 1].

    Returns:
      float32 [T, H, W, 3], RGB in [0, 1].
    """
    apply_key, draw_key = jax.random.split(key)
    draws = jax.random.uniform(draw_key, (4,), minval=-1.0, maxval=1.0)
    # A clip as one tall image: dm-pix's contrast then has one mean per clip.
    image = frames.reshape(-1, *frames.shape[2:])
    image = pix.adjust_brightness(image, self.brightness * draws[0])
    image = jnp.clip(image, 0.0, 1.0)
    image = pix.adjust_contrast(image, 1.0 + self.contrast * draws[1])
    image = jnp.clip(image, 0.0, 1.0)
    image = pix.adjust_saturation(image, 1.0 + self.saturation * draws[2])
    image = pix.adjust_hue(image, self.hue * draws[3])
    jittered = jnp.clip(image, 0.0, 1.0).reshape(frames.shape)
    jitter = jax.random.bernoulli(apply_key, self.probability)
    return jnp.where(jitter, jittered, frames)


@dataclasses.dataclass(frozen=True)
class ShuffledColourJitter:
  """Brightness, contrast, saturation and hue in random order (CVRL, SimCLR v2).

  This follows CVRL's reference code: brightness is a factor, while it is a
  shift in `ColourJitter`; contrast scales the distance to the mean of each
  channel over the whole clip; saturation and hue are changed in HSV; each
  result is clipped to [0, 1] before the next operation.

  Attributes:
    probability: Probability that a clip is jittered.
    brightness: Half-width of the range [1 - brightness, 1 + brightness] from
      which the brightness factor is drawn.
    contrast: Half-width of the range of the contrast factor around 1.
    saturation: Half-width of the range of the saturation factor around 1.
    hue: Largest rotation of the hue, as a fraction of the colour circle; the
      rotation is drawn from [-hue, hue].
  """

  probability: float = 0.8
  brightness: float = 0.8
  contrast: float = 0.8
  saturation: float = 0.8
  hue: float = 0.2

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Jitters one clip with the given probability.

    Args:
      key: Random key of the clip.
      frames: float32 [T, H, W, 3], RGB in [0, 1].

    Returns:
      float32 [T, H, W, 3], RGB in [0, 1].
    """
    apply_key, draw_key, order_key = jax.random.split(key, 3)
    neutral = jnp.array([1.0, 1.0, 1.0, 0.0])
    widths = jnp.array(
      [self.brightness, self.contrast, self.saturation, self.hue]
    )
    draws = jax.random.uniform(draw_key, (4,), minval=-1.0, maxval=1.0)
    order = jax.random.permutation(order_key, 4)
    jittered = frames
    # Every pass applies all four operations, three of them with their neutral
    # value: branches in a batched program would also compute all four, and more
    # slowly.
    for i in range(4):
      brightness, contrast, saturation, hue = jnp.where(
        order == i, neutral + widths * draws, neutral
      )
      jittered = jittered * brightness
      mean = jnp.mean(jittered, axis=(0, 1, 2))
      jittered = jnp.clip(mean + contrast * (jittered - mean), 0.0, 1.0)
      h, s, v = jnp.moveaxis(pix.rgb_to_hsv(jittered), -1, 0)
      s = jnp.minimum(s * saturation, 1.0)
      jittered = pix.hsv_to_rgb(jnp.stack([h + hue, s, v], axis=-1))
    jittered = jnp.clip(jittered, 0.0, 1.0)
    jitter = jax.random.bernoulli(apply_key, self.probability)
    return jnp.where(jitter, jittered, frames)


@dataclasses.dataclass(frozen=True)
class Greyscale:
  """Replaces all three channels by the luma (CVRL).

  Attributes:
    probability: Probability that a clip becomes grey.
  """

  probability: float = 0.2

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Makes one clip grey with the given probability.

    Args:
      key: Random key of the clip.
      frames: float32 [T, H, W, 3], RGB in [0, 1].

    Returns:
      float32 [T, H, W, 3], RGB in [0, 1].
    """
    # dm-pix has a matrix product here, which TPUs would round to bfloat16, and
    # jnp.sum over so short an axis is many times slower.
    luma = sum(w * frames[..., c : c + 1] for c, w in enumerate(_LUMA))
    apply = jax.random.bernoulli(key, self.probability)
    return jnp.where(apply, jnp.broadcast_to(luma, frames.shape), frames)


@dataclasses.dataclass(frozen=True)
class Solarize:
  """Inverts the bright values of a clip: x becomes 1 - x.

  Attributes:
    probability: Probability that a clip is solarized.
    threshold: Lowest value in [0, 1] that is inverted.
  """

  probability: float = 0.2
  threshold: float = 0.5

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Solarizes one clip with the given probability.

    Args:
      key: Random key of the clip.
      frames: float32 [T, H, W, 3], RGB in [0, 1].

    Returns:
      float32 [T, H, W, 3], RGB in [0, 1].
    """
    apply = jax.random.bernoulli(key, self.probability)
    return jnp.where(apply, pix.solarize(frames, self.threshold), frames)


@dataclasses.dataclass(frozen=True)
class ChannelReplication:
  """Copies one random channel to all three, so that colour is no shortcut.

  Choice: OPN (Lee et al., ICCV 2017), where this comes from, draws a channel
  for each frame and always replicates it. The defaults draw one channel for the
  whole clip, which keeps motion intact, and replicate it in half of the clips,
  so that the network sees colour in the others. `probability=1` with
  `per_frame=True` is OPN's variant.

  Attributes:
    probability: Probability that a clip has one channel replicated.
    per_frame: Whether each frame draws its own channel, as in OPN.
  """

  probability: float = 0.5
  per_frame: bool = False

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Replicates a channel of one clip with the given probability.

    Args:
      key: Random key of the clip.
      frames: float32 [T, H, W, 3], RGB in [0, 1].

    Returns:
      float32 [T, H, W, 3], RGB in [0, 1].
    """
    apply_key, channel_key = jax.random.split(key)
    draws = frames.shape[0] if self.per_frame else 1
    channel = jax.random.randint(channel_key, (draws, 1, 1, 1), 0, 3)
    # A masked sum, since indexing would be a gather on the device.
    mask = (jnp.arange(3) == channel).astype(frames.dtype)
    single = jnp.sum(frames * mask, axis=-1, keepdims=True)
    replicate = jax.random.bernoulli(apply_key, self.probability)
    return jnp.where(replicate, jnp.broadcast_to(single, frames.shape), frames)
