"""CVRL (arXiv 2008.03800): two clips of a video are alike, others are not.

There are two views, of two clips whose distance in time is drawn so that near
clips are more likely (`sampling.IntervalStarts`). Each view has one
augmentation for all its frames. The views differ in the probability of blur,
and only the second may be solarized. The only term is NT-Xent of the last
block, through a head of three hidden layers; all views of other videos are
negatives.
"""

import dataclasses
import functools
from typing import ClassVar

from hdc_jax import losses
from hdc_jax.augment import blur, colour, geometry, views
from hdc_jax.data.clips import sampling
from hdc_jax.methods import augmentations, base
from hdc_jax.models import heads
from hdc_jax.options import option

_BOTH = "in the first and in the second view"


@dataclasses.dataclass(frozen=True)
class CVRLAugment(augmentations.Areas):
  """Options of CVRL's augmentations."""

  jitter: augmentations.Jitter = option(
    augmentations.Jitter(), "Colour jitter."
  )
  greyscale: float = option(
    0.2, "Probability of greyscale.", at_least=0, at_most=1
  )
  blur: tuple[float, ...] = option(
    (1.0, 0.1),
    f"Probabilities of Gaussian blur {_BOTH}.",
    lengths=(2,),
    at_least=0,
    at_most=1,
  )
  solarize: tuple[float, ...] = option(
    (0.0, 0.2),
    f"Probabilities of solarizing {_BOTH}.",
    lengths=(2,),
    at_least=0,
    at_most=1,
  )


@dataclasses.dataclass(frozen=True)
class CVRL(base.MethodOptions):
  """Options of CVRL."""

  name = "cvrl"
  augment = CVRLAugment
  recipe: ClassVar = {
    # Crops are of whole frames, as in the official code.
    "data.part": "frame",
    "data.stride": 2,
    "data.batch_size": 1024,
    "model.size": 224,
    "model.norm": "batch",
    "augment.jitter.brightness": 0.8,
    "augment.jitter.contrast": 0.8,
    "augment.jitter.saturation": 0.8,
    "augment.jitter.hue": 0.2,
    # The official rate of 0.32 is for a loss that adds both directions, and
    # whose gradients are added over replicas. The loss here is the mean over
    # both directions and all videos, so the same step takes a rate of
    # 0.32 · 2 · replicas. Choice: this is the rate for one replica.
    "optim.lr": 0.64,
    "optim.schedule": "cosine",
    # The paper's weight decay of 1e-6 is λ in λ/2·w²; this field is λ/2.
    "optim.l2": 5e-7,
    # 200 epochs of the 240,000 videos of Kinetics-400, the first 5 with
    # warm-up.
    "train.steps": 46_900,
    "optim.warmup": 1_170,
  }

  temperature: float = option(0.1, "Temperature of the softmax.", above=0)
  dim: int = option(128, "Width of the embeddings.", at_least=1)
  power: float = option(
    1.0,
    "Exponent of the density of the interval between the two clips; the larger "
    "it is, the more uniform is the interval.",
    above=0,
  )
  hidden: tuple[int, ...] = option(
    (2048, 2048, 2048), "Widths of the head's hidden layers.", at_least=1
  )

  def make(self, augment: CVRLAugment, size: int) -> base.Method:
    """Makes CVRL's two views, and its term.

    Args:
      augment: Options of the augmentation.
      size: Height and width of the views, in pixels.
    """
    head = base.Head("projection", self.dim, self.hidden)
    first, second = (
      base.Embedding(view, heads.LAST, "space_time", head)
      for view in ("view1", "view2")
    )
    contrast = functools.partial(losses.nt_xent, temperature=self.temperature)
    return base.Method(
      make_views(augment, size),
      (base.Term("nt_xent", first, second, contrast),),
      sampling.IntervalStarts(self.power),
      self.momentum,
      self.queue,
    )


def make_views(augment: CVRLAugment, size: int) -> tuple[views.View, ...]:
  """Makes the two views, with transforms in the order of the official code.

  Args:
    augment: Options of the augmentation.
    size: Height and width of the views, in pixels.
  """

  def view(clip: int) -> views.View:
    transforms = (
      geometry.RandomFlip(augment.flip),
      colour.ShuffledColourJitter(**vars(augment.jitter)),
      colour.Greyscale(augment.greyscale),
      blur.GaussianBlur(augment.blur[clip]),
      colour.Solarize(augment.solarize[clip]),
    )
    name = f"view{clip + 1}"
    return views.View(name, clip, augment.crop(size), transforms)

  return view(0), view(1)
