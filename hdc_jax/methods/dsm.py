"""DSM (arXiv 2009.05757): learns the motion of a clip rather than its scene.

There are three views: the query `q`; the positive `p`, the same clip with its
scene distorted by a spline warp and its motion kept; and the negative `n`,
which has the same scene and other motion. It is another clip of the video
('shift'), or the same clip with scaled optical flow ('flow'). The only term, at
the last block, makes `q` similar to `p`, and dissimilar to `n` and to other
videos.

Choice: the paper names no further augmentations; all views have those of HDC.
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

# Name of the negative → number of the clip that view n shows, and transforms
# that change its motion.
NEGATIVES = {"shift": (1, ()), "flow": (0, (flow.FlowScaling(),))}


@dataclasses.dataclass(frozen=True)
class DSM(base.MethodOptions):
  """Options of DSM."""

  name = "dsm"
  augment = augmentations.Family
  recipe: ClassVar = {
    "data.stride": 4,
    "model.size": 224,
    "model.norm": "batch",
    "optim.lr": 0.01,
    "optim.decay": 0.0,
  }

  objective: str = option(
    "infonce",
    "Loss that compares the views: infonce or triplet.",
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
    "Margin of the triplet loss: how much farther away negatives must be than "
    "positives.",
    at_least=0,
    when=("objective", ("triplet",)),
  )
  negative: str = option(
    "shift",
    "What changes the motion of the negative: shift (another clip of the "
    "video) or flow (scaled optical flow).",
    choices=NEGATIVES,
  )
  dim: int = option(128, "Width of the embeddings.", at_least=1)

  def make(self, augment: augmentations.Family, size: int) -> base.Method:
    """Makes DSM's three views, and its term.

    Args:
      augment: Options of the augmentation.
      size: Height and width of the views, in pixels.
    """
    triple = self.make_views(augment, size)
    head = base.Head("projection", self.dim)
    query, positive, negative = (
      base.Embedding(view.name, heads.LAST, "space_time", head)
      for view in triple
    )
    contrast = {
      "infonce": functools.partial(
        losses.info_nce, temperature=self.temperature
      ),
      "triplet": functools.partial(losses.triplet, margin=self.margin),
    }[self.objective]
    term = base.Term("dsm", query, positive, contrast, negative=negative)
    shifted = any(view.clip for view in triple)
    starts = (
      sampling.ShiftedStarts() if shifted else sampling.IndependentStarts()
    )
    return base.Method(triple, (term,), starts, self.momentum)

  def make_views(
    self, augment: augmentations.Family, size: int
  ) -> tuple[views.View, ...]:
    """Makes the views q, p and n.

    Args:
      augment: Options of the augmentation.
      size: Height and width of the views, in pixels.
    """

    def view(name: str, clip: int, *distortions: views.Transform) -> views.View:
      transforms = (
        geometry.RandomFlip(augment.flip),
        *distortions,
        *augment.colours(),
      )
      return views.View(name, clip, augment.crop(size), transforms)

    clip, distortions = NEGATIVES[self.negative]
    return (
      view("q", 0),
      view("p", 0, warp.ThinPlateSpline()),
      view("n", clip, *distortions),
    )
