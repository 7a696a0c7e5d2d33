"""Options of the augmentations that several methods share."""

import dataclasses

from hdc_jax.augment import colour, geometry, views
from hdc_jax.options import Options, option


@dataclasses.dataclass(frozen=True)
class Flip(Options, section="augment"):
  """Mirroring."""

  flip: float = option(
    0.5, "Probability of mirroring a clip.", at_least=0, at_most=1
  )


@dataclasses.dataclass(frozen=True)
class Jitter(Options, section="augment.jitter"):
  """Colour jitter, one draw per clip."""

  probability: float = option(
    0.8, "Probability of jittering a clip's colours.", at_least=0, at_most=1
  )
  brightness: float = option(
    0.4, "Largest change of the brightness, 1 being its range.", at_least=0
  )
  contrast: float = option(0.4, "Largest change of the contrast.", at_least=0)
  saturation: float = option(
    0.4, "Largest change of the saturation.", at_least=0
  )
  hue: float = option(
    0.1,
    "Largest turn of the hue, 1 being a full circle.",
    at_least=0,
    at_most=0.5,
  )


@dataclasses.dataclass(frozen=True)
class Replication(Options, section="augment.replication"):
  """Channel replication: one random channel copied to all three."""

  probability: float = option(
    0.5, "Probability of replicating one channel.", at_least=0, at_most=1
  )
  per_frame: bool = option(
    False, "Whether every frame draws its own channel, instead of every clip."
  )


@dataclasses.dataclass(frozen=True)
class Scales(Flip):
  """Crops of jittered scale, and mirroring: for learning classes (HDC)."""

  scales: tuple[float, ...] = option(
    (1.0, 0.875, 0.75, 0.66),
    "Sides of the crops to draw from, as parts of the canvas.",
    required="name at least one scale, such as (1.0,)",
    above=0,
    at_most=1,
  )

  def crop(self, size: int) -> geometry.ScaleJitterCrop:
    """The crop, resized to a square of `size` pixels."""
    return geometry.ScaleJitterCrop(size, self.scales)


@dataclasses.dataclass(frozen=True)
class Family(Scales):
  """HDC's family of augmentations: crops, mirroring and colours."""

  jitter: Jitter = option(Jitter(), "Colour jitter.")
  replication: Replication = option(Replication(), "Channel replication.")

  def colours(self) -> tuple[views.Transform, ...]:
    """Colour jitter and channel replication, in this order."""
    return (
      colour.ColourJitter(**vars(self.jitter)),
      colour.ChannelReplication(**vars(self.replication)),
    )


def classification_view(
  augment: Scales, size: int, name: str = "clip", clip: int = 0
) -> views.View:
  """A view to learn classes from: scale jitter and flip (HDC, Section 4).

  Args:
    augment: How views are augmented.
    size: Height and width of the view, in pixels.
    name: Name of the view.
    clip: Number of the clip that it shows.
  """
  return views.View(
    name, clip, augment.crop(size), (geometry.RandomFlip(augment.flip),)
  )
