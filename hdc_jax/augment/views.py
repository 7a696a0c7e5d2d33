"""Views of a batch of clips, made on the device."""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Key

from hdc_jax.augment import geometry

Frames = Float[Array, "t h w 3"]
Crop = Callable[[Key[Array, ""], geometry.Canvas], Frames]
Transform = Callable[[Key[Array, ""], Frames], Frames]


@dataclasses.dataclass(frozen=True)
class View:
  """An augmented clip: which clip of the video it shows, and how.

  Attributes:
    name: What terms call it.
    clip: Number of the clip among those the loader cuts from each video.
    crop: From the canvas to RGB frames of the model's size.
    transforms: Applied in order to RGB frames in [0, 1].
  """

  name: str
  clip: int
  crop: Crop
  transforms: tuple[Transform, ...] = ()

  def __call__(self, key: Key[Array, ""], canvas: geometry.Canvas) -> Frames:
    """Makes the view of one clip, in [-1, 1]."""
    crop_key, *keys = jax.random.split(key, 1 + len(self.transforms))
    frames = self.crop(crop_key, canvas)
    for transform, key in zip(self.transforms, keys, strict=True):
      frames = transform(key, frames)
    return frames * 2.0 - 1.0


def make_views(
  views: Sequence[View],
  key: Key[Array, ""],
  clips: dict[str, Integer[Array, "b clips ..."]],
) -> Float[Array, "b v t h w 3"]:
  """Makes every view of every video.

  The key of a view is a function of `key`, the view's number and the position
  of the video in the global batch alone: not of devices or hosts.

  Args:
    views: What to make, V of them, all of one size.
    key: Of this step.
    clips: 'y' [B, clips, T, H, W] and 'uv' [B, clips, T, H/2, W/2, 2], uint8;
      and 'extent' [B, clips, 2], int32, where pictures do not fill the canvas.

  Returns:
    Views in [-1, 1], B videos each with V views.
  """
  positions = jnp.arange(clips["y"].shape[0])

  def make_view(number: int, view: View) -> Float[Array, "b t h w 3"]:
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    keys = fold(jax.random.fold_in(key, number), positions)
    fields = [name for name in geometry.Canvas._fields if name in clips]
    canvas = geometry.Canvas(**{f: clips[f][:, view.clip] for f in fields})
    return jax.vmap(view)(keys, canvas)

  made = [make_view(number, view) for number, view in enumerate(views)]
  return jnp.stack(made, axis=1)
