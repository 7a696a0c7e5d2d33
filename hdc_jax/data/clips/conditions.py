"""Clips without their scene, or without their motion, to test networks with.

After SCUBA and SCUFO (Li et al., "Mitigating and evaluating static bias of
action representations in the background and the foreground", ICCV 2023): what
moves is put before another background, or the motion is taken away. Choice: the
foreground is found by frame differences, as most datasets have no masks.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hdc_jax.data.clips import foreground
from hdc_jax.data.labels.segments import Segment
from hdc_jax.data.video.frames import Frames

# Seed of the order of shuffled frames and of stripes.
_SEED = 0
# Wavelength of the stripes, as a fraction of the height of the picture.
_WAVELENGTHS = (0.1, 0.4)
# Levels of luma in the dark and the light stripes, and of chroma in both.
_DARK, _LIGHT, _CHROMA = (16, 96), (160, 235), (80, 176)


def paint_stripes(rng: np.random.Generator, height: int, width: int) -> Frames:
  """Paints stripes, as SCUBA has them: a sinusoid between two colours.

  Choice: the angle is uniform, the logarithm of the wavelength is uniform from
  a tenth to four tenths of the height, and one colour is dark, the other light.

  Args:
    rng: Generator of the colours, the angle, the wavelength and the phase.
    height: Height of the picture in pixels, even.
    width: Width of the picture in pixels, even.

  Returns:
    One frame, of the layout of `foreground.background`.
  """
  angle, phase = rng.uniform(0, 2 * np.pi, size=2)
  wavelength = height * np.exp(rng.uniform(*np.log(_WAVELENGTHS)))
  luma = np.array([rng.uniform(*_DARK), rng.uniform(*_LIGHT)])
  chroma = rng.uniform(*_CHROMA, size=(2, 2))

  def weight(step: int) -> np.ndarray:
    """The share of the light colour in each pixel of a plane."""
    y, x = step * np.mgrid[: height // step, : width // step] + (step - 1) / 2
    along = np.cos(angle) * x + np.sin(angle) * y
    return 0.5 + 0.5 * np.sin(2 * np.pi * along / wavelength + phase)

  y = luma[0] + weight(1) * (luma[1] - luma[0])
  uv = chroma[0] + weight(2)[..., None] * (chroma[1] - chroma[0])
  return Frames(*(np.rint(plane).astype(np.uint8)[None] for plane in (y, uv)))


# Condition → function of a generator, a clip and a clip of another video to the
# background that the clip gets.
_BACKGROUNDS: dict[
  str, Callable[[np.random.Generator, Frames, Frames], Frames]
] = {
  "background": lambda rng, clip, other: foreground.background(other),
  "stripes": lambda rng, clip, other: paint_stripes(rng, *clip.y.shape[1:]),
}
# Condition → function of a generator and the number of frames to the frames
# that are shown, in order.
_ORDERS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
  "frozen": lambda rng, n: np.full(n, n // 2),
  "reversed": lambda rng, n: np.arange(n)[::-1],
  "shuffled": lambda rng, n: rng.permutation(n),
  # Choice: each is held for two frames, so that the clip shows the same stretch
  # of the video at the same speed.
  "every second": lambda rng, n: np.arange(n) // 2 * 2,
}
EXCHANGED = tuple(_BACKGROUNDS)
CONDITIONS = (*_BACKGROUNDS, *_ORDERS)


@dataclasses.dataclass(frozen=True, eq=False)
class Change:
  """A change of all clips of a test.

  Attributes:
    condition: A name in `CONDITIONS`.
    threshold: Difference of luma above which a pixel is foreground, see
      `foreground.foreground`.
    donors: For each segment, the segment of another video from which it gets
      its background.
  """

  condition: str
  threshold: float
  donors: Mapping[Segment, Segment]

  def apply(
    self,
    clips: Sequence[Frames],
    segment: Segment,
    cut: Callable[[Segment], Sequence[Frames]],
  ) -> list[Frames]:
    """Changes the clips of a segment.

    What is random depends on the video and the first frame of the segment, and
    on nothing else. It is the same for all clips of the segment.

    Args:
      clips: The clips.
      segment: The segment.
      cut: Cuts the clips of another segment, in the same windows.

    Returns:
      As many clips. Clip i gets the background of clip i of the donor, or, if
      that has fewer clips, starts again with its first.
    """
    seed = _SEED, segment.video, segment.first

    def order(clip: Frames) -> Frames:
      rng = np.random.default_rng(seed)
      shown = _ORDERS[self.condition](rng, len(clip.y))
      return Frames(clip.y[shown], clip.uv[shown])

    if self.condition in _ORDERS:
      return [order(clip) for clip in clips]
    # Stripes need no other video.
    others = clips
    if self.condition == "background":
      others = cut(self.donors[segment])
    make = _BACKGROUNDS[self.condition]
    return [
      foreground.exchange_background(
        clip,
        make(np.random.default_rng(seed), clip, others[i % len(others)]),
        self.threshold,
      )
      for i, clip in enumerate(clips)
    ]
