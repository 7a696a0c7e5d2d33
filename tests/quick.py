"""Backbones and views that are quick to compile.

`python -m tests.quick` is `python -m hdc_jax.main` with them: of a network's
convolutions and of the colours of views, a run by real processes needs nothing
but their compilation.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hdc_jax.augment import views
from hdc_jax.models import BACKBONES


class Blocks(nn.Module):
  """Endpoints like a backbone's, of a layer each."""

  width: int
  norm: str
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x, train=False):
    endpoints = {}
    for block in range(1, 6):
      x = nn.tanh(nn.Dense(self.width * block)(x[:, :, ::2, ::2]))
      endpoints[f"block{block}"] = x
    return endpoints


def _module(_, width, norm, dtype, **own):
  return Blocks(width, norm, dtype)


def _crop(view, key, canvas):
  """The random crop of a view, without the transforms after it."""
  crop_key, *_ = jax.random.split(key, 1 + len(view.transforms))
  return view.crop(crop_key, canvas) * 2.0 - 1.0


def use(setattr_):
  """Lets them take the place of the real ones, by a function like `setattr`."""
  use_views(setattr_)
  for name in ("c3d", "r3d18", "r2plus1d10"):
    setattr_(BACKBONES[name], "module", _module)
    setattr_(BACKBONES[name], "fewest_frames", 1)
    setattr_(BACKBONES[name], "smallest_size", 1)


def use_views(setattr_):
  """The same of the views alone."""
  setattr_(views.View, "__call__", _crop)


if __name__ == "__main__":
  use(setattr)

  from hdc_jax import main
  from hdc_jax.runtime import commands

  commands.leave(main.main())
