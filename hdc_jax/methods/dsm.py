"""DSM (arXiv 2009.05757): learns the motion of a clip rather than its scene.

There are three views: the query `q`, a clip whose scene is distorted by a
spline warp, which keeps its motion; the positive `p`, the same clip without the
warp; and the negative `n`, which has the same scene and other motion. It is
another clip of the video ('shift'), or the same clip with scaled optical flow
('flow'). The only term, at the last block, makes `q` similar to `p`, and
dissimilar to `n`, to other videos and to the keys of earlier batches.

The recipe is that of the published code (FingerRec/DSM-decoupling-scene-motion)
with Kinetics. Its positives are encoded by a running mean of the parameters;
its negatives `n` by the parameters themselves, so that gradients reach them.
"""

import dataclasses
import functools
from typing import ClassVar

from hdc_jax import losses
from hdc_jax.augment import colour, flow, geometry, views, warp
from hdc_jax.data.clips import sampling
from hdc_jax.methods import augmentations, base
from hdc_jax.models import heads
from hdc_jax.options import option

# Name of the negative → number of the clip that view n shows, and transforms
# that change its motion.
NEGATIVES = {"shift": (1, ()), "flow": (0, (flow.FlowScaling(),))}


@dataclasses.dataclass(frozen=True)
class DSMAugment(augmentations.Family):
  """Options of DSM's augmentations: HDC's, and rotation.

  Choice: the paper names no augmentations but its own. Those of the published
  code are the recipe. Flips are left out there: views that are flipped
  independently show opposite motions in half of the positive pairs.
  """

  rotation: float = option(
    0.0,
    "Largest angle by which a view is rotated, in degrees.",
    at_least=0,
    at_most=180,
  )

  def colours(self) -> tuple[views.Transform, ...]:
    """Makes colour jitter and channel replication, in this order."""
    return (
      colour.ShuffledColourJitter(**vars(self.jitter)),
      colour.ChannelReplication(**vars(self.replication)),
    )

  def rotations(self) -> tuple[views.Transform, ...]:
    """Makes the rotation, if there is one."""
    return (warp.RandomRotation(self.rotation),) if self.rotation else ()


@dataclasses.dataclass(frozen=True)
class DSM(base.MethodOptions):
  """Options of DSM."""

  name = "dsm"
  augment = DSMAugment
  recipe: ClassVar = {
    "data.stride": 4,
    "data.batch_size": 256,
    "model.size": 224,
    "model.norm": "batch",
    # Crops of 224 of 256 pixels.
    "augment.scales": (0.875,),
    "augment.flip": 0.0,
    "augment.rotation": 10.0,
    # Choice: all four changes, as torchvision's jitter makes them, in random
    # order. The published code applies only the last of them to a clip.
    "augment.jitter.probability": 1.0,
    "augment.jitter.brightness": 0.5,
    "augment.jitter.contrast": 0.5,
    "augment.jitter.saturation": 0.25,
    "augment.jitter.hue": 0.5,
    "augment.replication.probability": 0.0,
    "method.momentum": 0.999,
    # The published scripts have 3,569. Choice: the nearest multiple of the
    # batch, 14 · 256.
    "method.queue": 3_584,
    # 200 epochs of the 240,000 videos of Kinetics-400 in batches of 256. The
    # rate falls after epochs 120 and 160; a third fall at epoch 200 would be at
    # the end.
    "train.steps": 187_500,
    "optim.lr": 0.003,
    "optim.schedule": "steps",
    "optim.boundaries": (0.6, 0.8),
    "optim.factor": 0.1,
    # The published weight decay of 1e-4 is λ in λ/2·w²; this field is λ/2.
    "optim.l2": 5e-5,
    "optim.decayed": "all",
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

  def make(self, augment: DSMAugment, size: int) -> base.Method:
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
    return base.Method(triple, (term,), starts, self.momentum, self.queue)

  def make_views(
    self, augment: DSMAugment, size: int
  ) -> tuple[views.View, ...]:
    """Makes the views q, p and n.

    Args:
      augment: Options of the augmentation.
      size: Height and width of the views, in pixels.
    """

    def view(name: str, clip: int, *distortions: views.Transform) -> views.View:
      transforms = (
        geometry.RandomFlip(augment.flip),
        *augment.rotations(),
        *distortions,
        *augment.colours(),
      )
      return views.View(name, clip, augment.crop(size), transforms)

    clip, distortions = NEGATIVES[self.negative]
    return (
      view("q", 0, warp.ThinPlateSpline()),
      view("p", 0),
      view("n", clip, *distortions),
    )
