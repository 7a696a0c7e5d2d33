"""A view's colours: one draw per clip, by dm-pix where it serves."""

import dataclasses

import dm_pix as pix
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

# BT.601, limited range: luma in [16, 235], chroma in [16, 240] around 128.
_RGB_FROM_YUV = (
  (1.0, 0.0, 1.402),
  (1.0, -0.344136, -0.714136),
  (1.0, 1.772, 0.0),
)
# Of red, green and blue in luma: as TensorFlow rounds BT.601.
_LUMA = (0.2989, 0.5870, 0.1140)


def yuv_to_rgb(yuv: Float[Array, "t h w 3"]) -> Float[Array, "t h w 3"]:
  """BT.601 limited-range YUV of 8 bits (0 to 255) → RGB in [0, 1], clipped."""
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
    probability: Of jittering a clip at all.
    brightness: Largest shift of all channels, of [0, 1].
    contrast: Factor drawn from [1 - contrast, 1 + contrast], about the mean of
      each channel over the whole clip, so that no frame is treated apart.
    saturation: Factor drawn likewise.
    hue: Largest shift of the hue, in turns.
  """

  probability: float = 0.8
  brightness: float = 0.4
  contrast: float = 0.4
  saturation: float = 0.4
  hue: float = 0.1

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Jitters one clip; RGB in [0, 1] in and out."""
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

  As the reference code: brightness is a factor, where `ColourJitter` shifts;
  contrast is about the mean of each channel over the whole clip; saturation and
  hue are changed in HSV; each result is clipped to [0, 1] before the next.

  Attributes:
    probability: Of jittering a clip at all.
    brightness: Factor drawn from [1 - brightness, 1 + brightness].
    contrast: Factor drawn likewise.
    saturation: Factor drawn likewise.
    hue: Largest shift of the hue, in turns.
  """

  probability: float = 0.8
  brightness: float = 0.8
  contrast: float = 0.8
  saturation: float = 0.8
  hue: float = 0.2

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Jitters one clip; RGB in [0, 1] in and out."""
    apply_key, draw_key, order_key = jax.random.split(key, 3)
    neutral = jnp.array([1.0, 1.0, 1.0, 0.0])
    widths = jnp.array(
      [self.brightness, self.contrast, self.saturation, self.hue]
    )
    draws = jax.random.uniform(draw_key, (4,), minval=-1.0, maxval=1.0)
    turns = jax.random.permutation(order_key, 4)
    jittered = frames
    # Every turn applies all four, three of them without effect: branches of a
    # batched program would compute them all too, and more slowly.
    for turn in range(4):
      brightness, contrast, saturation, hue = jnp.where(
        turns == turn, neutral + widths * draws, neutral
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
  """Shows the luma alone.

  Attributes:
    probability: Of doing so.
  """

  probability: float = 0.2

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Makes one clip grey, or does not."""
    # Not dm-pix's matrix product, which TPUs would round to bfloat16; and not
    # jnp.sum, which is many times as slow over so short an axis.
    luma = sum(w * frames[..., c : c + 1] for c, w in enumerate(_LUMA))
    apply = jax.random.bernoulli(key, self.probability)
    return jnp.where(apply, jnp.broadcast_to(luma, frames.shape), frames)


@dataclasses.dataclass(frozen=True)
class Solarize:
  """Inverts bright values: those at or over the threshold.

  Attributes:
    probability: Of doing so.
    threshold: From which on values are inverted.
  """

  probability: float = 0.2
  threshold: float = 0.5

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Solarizes one clip, or does not."""
    apply = jax.random.bernoulli(key, self.probability)
    return jnp.where(apply, pix.solarize(frames, self.threshold), frames)


@dataclasses.dataclass(frozen=True)
class ChannelReplication:
  """Copies one random channel to all three, against learning from colour.

  Choice: OPN, where it comes from, draws a channel per frame and always
  replicates; one draw per clip, half of the time, keeps motion intact and lets
  the network see colour at all. Both are options.

  Attributes:
    probability: Of replicating a clip's channel.
    per_frame: Whether each frame draws its own channel, as in OPN.
  """

  probability: float = 0.5
  per_frame: bool = False

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Replicates a channel of one clip, or does not."""
    apply_key, channel_key = jax.random.split(key)
    draws = frames.shape[0] if self.per_frame else 1
    channel = jax.random.randint(channel_key, (draws, 1, 1, 1), 0, 3)
    # A masked sum rather than an indexed read: no gather on the device.
    mask = (jnp.arange(3) == channel).astype(frames.dtype)
    single = jnp.sum(frames * mask, axis=-1, keepdims=True)
    replicate = jax.random.bernoulli(apply_key, self.probability)
    return jnp.where(replicate, jnp.broadcast_to(single, frames.shape), frames)
