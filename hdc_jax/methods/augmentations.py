"""Options of the augmentations that several methods share."""

import dataclasses

from hdc_jax.augment import colour, geometry, views
from hdc_jax.options import Options, option


@dataclasses.dataclass(frozen=True)
class Flip(Options, section="augment"):
  """Options of mirroring."""

  flip: float = option(
    0.5, "Probability of mirroring a clip.", at_least=0, at_most=1
  )


@dataclasses.dataclass(frozen=True)
class Jitter(Options, section="augment.jitter"):
  """Options of colour jitter, which is drawn once for each clip."""

  probability: float = option(
    0.8, "Probability of jittering a clip's colours.", at_least=0, at_most=1
  )
  brightness: float = option(
    0.4, "Largest change of the brightness; 1 is its whole range.", at_least=0
  )
  contrast: float = option(0.4, "Largest change of the contrast.", at_least=0)
  saturation: float = option(
    0.4, "Largest change of the saturation.", at_least=0
  )
  hue: float = option(
    0.1,
    "Largest change of the hue; 1 is the whole colour circle.",
    at_least=0,
    at_most=0.5,
  )


@dataclasses.dataclass(frozen=True)
class Replication(Options, section="augment.replication"):
  """Options of channel replication: a random channel is copied to all three."""

  probability: float = option(
    0.5, "Probability of replicating one channel.", at_least=0, at_most=1
  )
  per_frame: bool = option(
    False, "Whether a channel is drawn for every frame, not for every clip."
  )


@dataclasses.dataclass(frozen=True)
class Scales(Flip):
  """Options of crops with jittered scale, and of mirroring (HDC)."""

  scales: tuple[float, ...] = option(
    (1.0, 0.875, 0.75, 0.66),
    "Sides of crops to draw from, as fractions of the side of the canvas.",
    required="name at least one scale, such as (1.0,)",
    above=0,
    at_most=1,
  )
  max_distort: int = option(
    1,
    "By how many places in `scales` the height and the width of a crop may "
    "differ; 1 in TSN. The number of scales lets them differ freely.",
    at_least=0,
    before=99,
  )

  def crop(self, size: int) -> geometry.ScaleJitterCrop:
    """Makes the crop, which is resized to a square.

    Args:
      size: Side of the square, in pixels.
    """
    return geometry.ScaleJitterCrop(size, self.scales, self.max_distort)


@dataclasses.dataclass(frozen=True)
class Family(Scales):
  """Options of HDC's augmentations: crops, mirroring and colours."""

  jitter: Jitter = option(Jitter(), "Colour jitter.")
  replication: Replication = option(Replication(), "Channel replication.")

  def colours(self) -> tuple[views.Transform, ...]:
    """Makes colour jitter and channel replication, in this order."""
    return (
      colour.ColourJitter(**vars(self.jitter)),
      colour.ChannelReplication(**vars(self.replication)),
    )


def classification_view(
  augment: Scales, size: int, name: str = "clip", clip: int = 0
) -> views.View:
  """Makes the view of supervised training: scale jitter and flip.

  It is that of Section 4 of the HDC paper.

  Args:
    augment: Options of the augmentation.
    size: Height and width of the view, in pixels.
    name: Name of the view.
    clip: Number of the clip that the view shows.
  """
  return views.View(
    name, clip, augment.crop(size), (geometry.RandomFlip(augment.flip),)
  )
