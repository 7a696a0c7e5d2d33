"""DSM (arXiv 2009.05757): the motion of a clip counts, its scene does not.

Three views: `q`; `p`, the same clip with its scene broken by a spline warp and
its motion kept; and `n`, with the scene kept and the motion broken, either by
taking another clip of the video ('shift') or by scaling the optical flow
('flow'). One term of the last block: `q` is to be near its `p`, and far from
its own `n` as well as from other videos.

Choice: the paper names no other augmentations; these are HDC's.
"""

import dataclasses
import functools
from typing import ClassVar

from hdc_jax import losses
from hdc_jax.augment import flow, geometry, views, warp
from hdc_jax.data.clips import sampling
from hdc_jax.methods import augmentations, base
from hdc_jax.models import heads
from hdc_jax.options import option

# How motion is broken → the clip of view n, and what is done to it.
NEGATIVES = {"shift": (1, ()), "flow": (0, (flow.FlowScaling(),))}


@dataclasses.dataclass(frozen=True)
class DSM(base.MethodOptions):
  """Options of DSM."""

  name = "dsm"
  augment = augmentations.Family
  recipe: ClassVar = {
    "data.canvas": 256,
    "data.stride": 4,
    "model.size": 224,
    "model.norm": "batch",
    "optim.lr": 0.01,
    "optim.decay": 0.0,
  }

  objective: str = option(
    "infonce",
    "How the query is compared: infonce or triplet.",
    choices=("infonce", "triplet"),
  )
  temperature: float = option(
    0.07,
    "Temperature of InfoNCE's softmax.",
    above=0,
    when=("objective", ("infonce",)),
  )
  margin: float = option(
    0.5,
    "Distance by which negatives of a triplet must be farther than positives.",
    at_least=0,
    when=("objective", ("triplet",)),
  )
  negative: str = option(
    "shift",
    "What breaks the motion of the negative: shift (another clip of the video) "
    "or flow (scaled optical flow).",
    choices=NEGATIVES,
  )
  dim: int = option(128, "Width of the embeddings.", at_least=1)

  def make(self, augment: augmentations.Family, size: int) -> base.Method:
    """DSM's three views, and its one term."""
    made = self.make_views(augment, size)
    head = base.Head("projection", self.dim)
    query, positive, negative = (
      base.Embedding(view.name, heads.LAST, "space_time", head) for view in made
    )
    contrast = {
      "infonce": functools.partial(
        losses.info_nce, temperature=self.temperature
      ),
      "triplet": functools.partial(losses.triplet, margin=self.margin),
    }[self.objective]
    term = base.Term("dsm", query, positive, contrast, negative=negative)
    shifted = any(view.clip for view in made)
    starts = (
      sampling.ShiftedStarts() if shifted else sampling.IndependentStarts()
    )
    return base.Method(made, (term,), starts, self.momentum)

  def make_views(
    self, augment: augmentations.Family, size: int
  ) -> tuple[views.View, ...]:
    """The views q, p and n."""

    def view(name: str, clip: int, *breaking: views.Transform) -> views.View:
      transforms = (
        geometry.RandomFlip(augment.flip),
        *breaking,
        *augment.colours(),
      )
      return views.View(name, clip, augment.crop(size), transforms)

    clip, breaking = NEGATIVES[self.negative]
    return (
      view("q", 0),
      view("p", 0, warp.ThinPlateSpline()),
      view("n", clip, *breaking),
    )
