"""Options of the augmentations that several methods share."""

import dataclasses
from typing import Any

from hdc_jax.augment import colour, geometry, views
from hdc_jax.errors import ConfigError
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


def _scales(**rule: Any) -> Any:
  """Declares the option of crops with jittered scale."""
  return option(
    (1.0, 0.875, 0.75, 0.66),
    "Sides of crops to draw from, as fractions of the short side of the "
    "picture.",
    required="name at least one scale, such as (1.0,)",
    above=0,
    at_most=1,
    **rule,
  )


def _max_distort(**rule: Any) -> Any:
  """Declares the option of how far scales may lie apart."""
  return option(
    1,
    "By how many places in `scales` the height and the width of a crop may "
    "differ; 1 in TSN. The number of scales lets them differ freely.",
    at_least=0,
    before=99,
    **rule,
  )


def _area(**rule: Any) -> Any:
  """Declares the option of the area of random resized crops."""
  return option(
    (0.3, 1.0),
    "Smallest and largest area of a crop, as fractions of the frame.",
    lengths=(2,),
    above=0,
    at_most=1,
    **rule,
  )


def _aspect(**rule: Any) -> Any:
  """Declares the option of the aspect ratio of random resized crops."""
  return option(
    (0.5, 2.0),
    "Smallest and largest ratio of a crop's width to its height.",
    lengths=(2,),
    above=0,
    **rule,
  )


@dataclasses.dataclass(frozen=True)
class Scales(Flip):
  """Options of crops with jittered scale, and of mirroring (HDC)."""

  scales: tuple[float, ...] = _scales()
  max_distort: int = _max_distort()

  def crop(self, size: int) -> views.Crop:
    """Makes the crop, which is resized to a square.

    Args:
      size: Side of the square, in pixels.
    """
    return geometry.ScaleJitterCrop(size, self.scales, self.max_distort)


@dataclasses.dataclass(frozen=True)
class Areas(Flip):
  """Options of random resized crops, and of mirroring (CVRL)."""

  area: tuple[float, ...] = _area()
  aspect: tuple[float, ...] = _aspect()

  def crop(self, size: int) -> views.Crop:
    """Makes the crop, which is resized to a square.

    Args:
      size: Side of the square, in pixels.
    """
    (least, most), (narrow, wide) = self.area, self.aspect
    return geometry.RandomResizedCrop(size, (least, most), (narrow, wide))

  def check(self) -> None:
    """Checks that each range goes from small to large.

    Raises:
      ConfigError: Naming the range that does not.
    """
    for name in ("area", "aspect"):
      low, high = getattr(self, name)
      if low > high:
        raise ConfigError(
          f"{self.full_name(name)}={(low, high)} must go from small to large"
        )


# Kind of the crops of training clips for classification → class with the crop.
_CROPS = {"scales": Scales, "areas": Areas}


@dataclasses.dataclass(frozen=True)
class Classification(Scales, Areas):
  """Options of the augmentation of clips on which classifiers are trained."""

  crops: str = option(
    "scales",
    "Random crops of training clips: scales (their sides are drawn from a "
    "list, as in HDC) or areas (random resized crops, as in CVRL).",
    choices=_CROPS,
  )
  scales: tuple[float, ...] = _scales(when=("crops", ("scales",)))
  max_distort: int = _max_distort(when=("crops", ("scales",)))
  area: tuple[float, ...] = _area(when=("crops", ("areas",)))
  aspect: tuple[float, ...] = _aspect(when=("crops", ("areas",)))

  def crop(self, size: int) -> views.Crop:
    """Makes the crop, which is resized to a square.

    Args:
      size: Side of the square, in pixels.
    """
    return _CROPS[self.crops].crop(self, size)


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
  augment: Classification, size: int, name: str = "clip", clip: int = 0
) -> views.View:
  """Makes the view of supervised training: a random crop and a flip.

  With jittered scale it is that of Section 4 of the HDC paper, with random
  resized crops that of CVRL's official code.

  Args:
    augment: Options of the augmentation.
    size: Height and width of the view, in pixels.
    name: Name of the view.
    clip: Number of the clip that the view shows.
  """
  return views.View(
    name, clip, augment.crop(size), (geometry.RandomFlip(augment.flip),)
  )
