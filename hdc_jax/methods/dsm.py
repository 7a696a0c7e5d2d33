"""DSM (arXiv 2009.05757): the motion of a clip counts, its scene does not.

Three views: `q`; `p`, the same clip with its scene broken by a spline warp and
its motion kept; and `n`, with the scene kept and the motion broken, either by
taking another clip of the video ('shift') or by scaling the optical flow
('flow'). One term of the last block: `q` is to be near its `p`, and far from
its own `n` as well as from other videos.

Choice: the paper names no other augmentations; these are HDC's.
"""

import functools

import ml_collections

from hdc_jax import losses
from hdc_jax.augment import colour, flow, geometry, views, warp
from hdc_jax.data.clips import sampling
from hdc_jax.errors import choose
from hdc_jax.methods import base
from hdc_jax.models import heads

# How motion is broken → the clip of view n, and what is done to it.
NEGATIVES = {"shift": (1, ()), "flow": (0, (flow.FlowScaling(),))}
OBJECTIVES = {
  "infonce": lambda method: functools.partial(
    losses.info_nce, temperature=method.temperature
  ),
  "triplet": lambda method: functools.partial(
    losses.triplet, margin=method.margin
  ),
}


def make_views(
  config: ml_collections.ConfigDict,
) -> tuple[views.View, ...]:
  """The views q, p and n."""
  augment, size = config.augment, config.model.size
  clip, breaking = choose("method.negative", config.method.negative, NEGATIVES)

  def view(name: str, clip: int, *breaking: views.Transform) -> views.View:
    transforms = (
      geometry.RandomFlip(augment.flip),
      *breaking,
      colour.ColourJitter(**augment.jitter),
      colour.ChannelReplication(**augment.replication),
    )
    crop = geometry.ScaleJitterCrop(size, augment.scales)
    return views.View(name, clip, crop, transforms)

  return (
    view("q", 0),
    view("p", 0, warp.ThinPlateSpline()),
    view("n", clip, *breaking),
  )


def make_method(config: ml_collections.ConfigDict) -> base.Method:
  """DSM as `config.method` and `config.augment` describe it.

  Raises:
    ConfigError: If the objective or the negative is unknown.
  """
  method = config.method
  made = make_views(config)
  head = base.Head("projection", method.dim)
  query, positive, negative = (
    base.Embedding(view.name, heads.LAST, "space_time", head) for view in made
  )
  objective = choose("method.objective", method.objective, OBJECTIVES)(method)
  term = base.Term("dsm", query, positive, objective, negative=negative)
  shifted = max(view.clip for view in made)
  starts = sampling.ShiftedStarts() if shifted else sampling.IndependentStarts()
  return base.Method(made, (term,), starts, method.momentum)
