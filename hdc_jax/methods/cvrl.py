"""CVRL (arXiv 2008.03800): two clips of a video are alike, all others not.

Two views, of two clips whose distance in time is drawn so that near ones are
more likely (`sampling.IntervalStarts`), each augmented alike in all its frames.
The views differ in their blur and in that only the second is solarized. One
term: NT-Xent of the last block, through a head of three hidden layers, in which
every other view of the batch is a negative.
"""

import functools

import ml_collections

from hdc_jax import losses
from hdc_jax.augment import blur, colour, geometry, views
from hdc_jax.data.clips import sampling
from hdc_jax.methods import base
from hdc_jax.models import heads


def make_views(
  augment: ml_collections.ConfigDict, size: int
) -> tuple[views.View, ...]:
  """The two views; their transforms in the order of the official code."""

  def view(clip: int) -> views.View:
    transforms = (
      geometry.RandomFlip(augment.flip),
      colour.ShuffledColourJitter(**augment.jitter),
      colour.Greyscale(augment.greyscale),
      blur.GaussianBlur(augment.blur[clip]),
      colour.Solarize(augment.solarize[clip]),
    )
    crop = geometry.RandomResizedCrop(size, augment.area, augment.aspect)
    return views.View(f"view{clip + 1}", clip, crop, transforms)

  return view(0), view(1)


def make_method(config: ml_collections.ConfigDict) -> base.Method:
  """CVRL as `config.method` and `config.augment` describe it."""
  method = config.method
  head = base.Head("projection", method.dim, method.hidden)
  first, second = (
    base.Embedding(view, heads.LAST, "space_time", head)
    for view in ("view1", "view2")
  )
  objective = functools.partial(losses.nt_xent, temperature=method.temperature)
  return base.Method(
    make_views(config.augment, config.model.size),
    (base.Term("nt_xent", first, second, objective),),
    sampling.IntervalStarts(method.power),
  )
