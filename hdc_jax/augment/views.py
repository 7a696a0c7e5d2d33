"""Views: augmented clips of a batch, computed on the device."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
    name: Name by which the terms of a method refer to the view.
    clip: Index of the clip among those that the loader cuts from each video.
    crop: Function of a random key and a canvas that returns RGB frames in
      [0, 1], float32 [T, H, W, 3], of the network's input size.
    transforms: Functions of a random key and such frames that return such
      frames, applied in order.
  """

  name: str
  clip: int
  crop: Crop
  transforms: tuple[Transform, ...] = ()

  def areas(self, height: float, width: float) -> tuple[float, float]:
    """Smallest and largest area of the crop of a picture, in square pixels.

    Those of a crop that does not tell them are taken to be the whole picture.

    Args:
      height: Height of the picture in pixels.
      width: Width of the picture in pixels.
    """
    areas: Any = getattr(self.crop, "areas", None)
    whole = height * width
    return areas(height, width) if areas else (whole, whole)

  def __call__(self, key: Key[Array, ""], canvas: geometry.Canvas) -> Frames:
    """Augments one clip.

    Args:
      key: Random key of the view of this clip; the crop and each transform
        receive a key of their own.
      canvas: Frames of the clip.

    Returns:
      float32 [T, H, W, 3], RGB in [-1, 1].
    """
    crop_key, *keys = jax.random.split(key, 1 + len(self.transforms))
    frames = self.crop(crop_key, canvas)
    for transform, key in zip(self.transforms, keys, strict=True):
      frames = transform(key, frames)
    return frames * 2.0 - 1.0


def make_views(
  views: Sequence[View],
  key: Key[Array, ""],
  clips: Mapping[str, Integer[Array, "b clips ..."]],
  positions: Integer[Array, "b"] | None = None,
) -> Float[Array, "b v t h w 3"]:
  """Computes every view of every video of a batch.

  The random key of a view depends on `key`, on the index of the view and on the
  position of the video in the global batch, and on nothing else: not on the
  number of devices or hosts.

  Args:
    views: V views, all of the same size.
    key: Random key of the training step.
    clips: The batch as the loader gives it: 'y', uint8 [B, clips, T, H, W];
      'uv', uint8 [B, clips, T, H/2, W/2, 2]; and, where pictures do not fill
      the canvas, 'extent', int32 [B, clips, 2]. See `geometry.Canvas`.
    positions: Positions of the videos in the global batch, [B]; by default they
      are the whole batch.

  Returns:
    float32 [B, V, T, H, W, 3], RGB in [-1, 1].

  Example:
    The two views of a grey clip differ by their random crops only, so that
    both are grey.

    >>> clips = {
    ...   "y": jnp.full((1, 1, 2, 8, 8), 126, jnp.uint8),
    ...   "uv": jnp.full((1, 1, 2, 4, 4, 2), 128, jnp.uint8),
    ... }
    >>> crop = geometry.ScaleJitterCrop(size=4)
    >>> views = [View("query", clip=0, crop=crop), View("key", 0, crop)]
    >>> make = jax.jit(lambda key, clips: make_views(views, key, clips))
    >>> batch = make(jax.random.key(0), clips)
    >>> batch.shape
    (1, 2, 2, 4, 4, 3)
    >>> print(f"{batch.min():.2f} {batch.max():.2f}")
    0.00 0.00
  """
  if positions is None:
    positions = jnp.arange(clips["y"].shape[0])

  def make_view(index: int, view: View) -> Float[Array, "b t h w 3"]:
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    keys = fold(jax.random.fold_in(key, index), positions)
    fields = [name for name in geometry.Canvas._fields if name in clips]
    canvas = geometry.Canvas(**{f: clips[f][:, view.clip] for f in fields})
    return jax.vmap(view)(keys, canvas)

  return jnp.stack(
    [make_view(index, view) for index, view in enumerate(views)], axis=1
  )
