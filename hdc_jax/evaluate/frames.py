"""RGB frames of videos, for figures."""

import jax
import jax.numpy as jnp
import numpy as np

from hdc_jax.augment import colour
from hdc_jax.data import sources
from hdc_jax.data.video.frames import Frames, Indices, Window


def read_rgb(
  video: sources.Video, indices: Indices, window: Window
) -> np.ndarray:
  """Decodes frames of a video to RGB.

  Args:
    video: Video to read.
    indices: T indices of frames, in any order.
    window: Part of each frame to return; H and W are its sides.

  Returns:
    uint8 [T, H, W, 3].

  Raises:
    DataError: If the video cannot be decoded; see `codec.decode`.
  """
  return to_rgb(video.read(indices, window))


def to_rgb(frames: Frames) -> np.ndarray:
  """Converts T frames to RGB, uint8 [T, H, W, 3]."""
  y, uv = frames
  chroma = uv.repeat(2, axis=1).repeat(2, axis=2)
  yuv = np.concatenate([y[..., None], chroma], axis=-1).astype(np.float32)
  rgb = jax.device_get(colour.yuv_to_rgb(jnp.asarray(yuv)))
  return (255 * rgb).round().astype(np.uint8)
