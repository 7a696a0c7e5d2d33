"""Which clips of a part of a video to look at, and where in the frame."""

import dataclasses
import itertools
from typing import Protocol

import ml_collections
import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.clips import cutting, sampling
from hdc_jax.data.labels.segments import Part
from hdc_jax.data.video.codec import Window
from hdc_jax.errors import ConfigError, choose


def crop_windows(
  height: int, width: int, size: int, crops: str
) -> tuple[Window, ...]:
  """Squares of a frame, at even offsets as half-size chroma needs.

  Args:
    height: Of the frame, even.
    width: Of the frame, even.
    size: Of the squares, even, at most the shorter side.
    crops: 'centre'; 'three' along the longer side (CVRL); or 'five': the centre
      and the corners, from top left in reading order (HDC).
  """
  centre = sampling.centre_window(height, width, size)
  bottom, right = height - size, width - size
  offsets = {
    "centre": [(centre.top, centre.left)],
    "three": (
      [(centre.top, left) for left in (0, centre.left, right)]
      if width >= height
      else [(top, centre.left) for top in (0, centre.top, bottom)]
    ),
    "five": [
      (centre.top, centre.left),
      *itertools.product((0, bottom), (0, right)),
    ],
  }[crops]
  return tuple(Window(top, left, size, size) for top, left in offsets)


CROPS = {"centre": 1, "three": 3, "five": 5}

# The start of a clip, and the windows of its frames.
Cuts = list[tuple[int, tuple[Window, ...]]]


class Looks(Protocol):
  """Which clips of a part to look at, and where.

  Attributes:
    frames: Per clip.
    stride: Source frames from one to the next.
    size: Of the windows.
    estimate: How many windows a part is expected to have.
  """

  frames: int
  stride: int
  size: int
  estimate: int

  def cuts(self, part: Part, height: int, width: int) -> Cuts:
    """Those of a part of a video with frames of this size."""
    ...


@dataclasses.dataclass(frozen=True)
class FixedLooks:
  """Fixed clips, evenly spread or as many as fit, in fixed crops.

  Attributes:
    frames: See `Looks`, as the next two.
    stride: See above.
    size: See above.
    clips: Per part; 0 for all that fit without overlap (at least one: a part
      shorter than a clip is looped), from the first frame on.
    crops: See `crop_windows`.
  """

  frames: int
  stride: int
  size: int
  clips: int
  crops: str

  @property
  def estimate(self) -> int:
    """See `Looks`; 300 frames are the ten seconds of Kinetics."""
    dense = max(1, 300 // sampling.clip_span(self.frames, self.stride))
    return (self.clips or dense) * CROPS[self.crops]

  def cuts(self, part: Part, height: int, width: int) -> Cuts:
    """See `Looks`."""
    stretch = self.frames, self.stride, part.first, part.stop
    starts = (
      sampling.spread_starts(self.clips, *stretch)
      if self.clips
      else sampling.dense_starts(*stretch)
    )
    windows = crop_windows(height, width, self.size, self.crops)
    return [(start, windows) for start in starts]


@dataclasses.dataclass(frozen=True)
class RandomLooks:
  """Random clips in random windows, a function of seed and part alone.

  Attributes:
    frames: See `Looks`, as the next two.
    stride: See above.
    size: See above.
    clips: Per part.
    seed: Of the draws.
  """

  frames: int
  stride: int
  size: int
  clips: int
  seed: int

  @property
  def estimate(self) -> int:
    """See `Looks`."""
    return self.clips

  def cuts(self, part: Part, height: int, width: int) -> Cuts:
    """See `Looks`."""
    rng = np.random.default_rng((self.seed, part.video, part.first))
    length = part.stop - part.first

    def cut() -> tuple[int, tuple[Window, ...]]:
      start = sampling.random_start(rng, length, self.frames, self.stride)
      window = sampling.random_window(rng, height, width, self.size)
      return part.first + start, (window,)

    return [cut() for _ in range(self.clips)]


def fixed_looks(
  config: ml_collections.ConfigDict, source: sources.Source
) -> FixedLooks:
  """What `config.test` describes.

  Raises:
    ConfigError: Naming the field that does not fit the dataset.
  """
  data, options = config.data, config.test
  cutting.check_frames(data)
  choose("config.test.crops", options.crops, CROPS)
  if options.clips < 0:
    raise ConfigError(f"config.test.clips={options.clips} is negative")
  field = "test.size" if options.size else "model.size"
  size = options.size or config.model.size
  if not 2 <= size <= source.index.short_side or size % 2:
    raise ConfigError(
      f"config.{field}={size} must be even and at most the short side of the "
      f"frames, {source.index.short_side}; prepare with a larger --short_side, "
      "or lower it"
    )
  return FixedLooks(
    data.frames, data.stride, size, options.clips, options.crops
  )
