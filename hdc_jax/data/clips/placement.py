"""Where the clips of an evaluation lie: their first frames and their crops."""

import dataclasses
import itertools
from typing import Protocol, Self

import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.clips import canvas, sampling
from hdc_jax.data.labels.segments import Segment
from hdc_jax.data.options import Clips, ShownClips
from hdc_jax.data.video.codec import Window
from hdc_jax.errors import ConfigError


def crop_windows(
  height: int, width: int, size: int, crops: str
) -> tuple[Window, ...]:
  """Squares of a frame, at even offsets as half-size chroma needs.

  Args:
    height: Height of the frame in pixels, even.
    width: Width of the frame in pixels, even.
    size: Side of the squares in pixels, even, at most the frame's shorter one.
    crops: 'centre'; 'three' along the longer side (CVRL); or 'five': the centre
      and the corners, from top left in reading order (HDC).

  Returns:
    The squares, in this order.
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


# Kind of crops → number of windows, see `crop_windows`.
CROPS = {"centre": 1, "three": 3, "five": 5}

# For each clip, its first frame and the windows of its frames.
Cuts = list[tuple[int, tuple[Window, ...]]]


class Placement(Protocol):
  """The clips of a segment that an evaluation encodes, and their windows.

  Attributes:
    frames: Frames per clip.
    stride: Source frames from one frame of a clip to the next.
    size: Height and width of the windows, in pixels.
    padded: Whether windows may be smaller, and are padded to this size.
    estimate: Number of windows that a segment is expected to have.
  """

  @property
  def frames(self) -> int: ...  # noqa: D102

  @property
  def stride(self) -> float: ...  # noqa: D102

  @property
  def size(self) -> int: ...  # noqa: D102

  @property
  def padded(self) -> bool: ...  # noqa: D102

  @property
  def estimate(self) -> int: ...  # noqa: D102

  def at_rate_of(self, video: sources.Video) -> Self:
    """The placement with its stride in frames of a video.

    Args:
      video: The video whose clips are placed.

    Raises:
      DataError: If its frame rate is needed and unknown.
    """
    ...

  def cuts(self, segment: Segment, height: int, width: int) -> Cuts:
    """Places the clips of a segment.

    Args:
      segment: The segment.
      height: Height of the video's frames in pixels, even.
      width: Width of the video's frames in pixels, even.

    Returns:
      The start of each clip, as a frame of the video, and its windows.
    """
    ...


@dataclasses.dataclass(frozen=True)
class _Timed:
  """The length of clips in time.

  Attributes:
    frames: Frames per clip.
    stride: Source frames from one frame of a clip to the next.
    fps: Frames per second of clips, instead of a stride; 0: by stride.
  """

  frames: int
  stride: float
  fps: float = dataclasses.field(default=0.0, kw_only=True)

  def at_rate_of(self, video: sources.Video) -> Self:
    """The placement with its stride in frames of a video, see `Placement`."""
    stride = sampling.stride_in(video, self.stride, self.fps)
    return dataclasses.replace(self, stride=stride, fps=0.0)


@dataclasses.dataclass(frozen=True)
class FixedPlacement(_Timed):
  """Clips at fixed times in fixed crops, as evaluations test them.

  Attributes:
    size: Height and width of the windows, in pixels.
    clips: Clips per segment; 0 for all that fit without overlap (at least one:
      a segment shorter than a clip is looped), from the first frame on.
    crops: Kind of crops, see `crop_windows`.
  """

  size: int
  clips: int
  crops: str
  padded = False

  @property
  def estimate(self) -> int:
    """Windows of a segment of 300 frames: ten seconds, as in Kinetics."""
    stride = 30 / self.fps if self.fps else self.stride
    dense = max(1, 300 // sampling.clip_span(self.frames, stride))
    return (self.clips or dense) * CROPS[self.crops]

  def cuts(self, segment: Segment, height: int, width: int) -> Cuts:
    """Places the clips of a segment, see `Placement.cuts`."""
    arguments = self.frames, self.stride, segment.first, segment.stop
    starts = (
      sampling.spread_starts(self.clips, *arguments)
      if self.clips
      else sampling.dense_starts(*arguments)
    )
    windows = crop_windows(height, width, self.size, self.crops)
    return [(start, windows) for start in starts]


@dataclasses.dataclass(frozen=True)
class RandomPlacement(_Timed):
  """Random clips in random windows, which only the seed and segment decide.

  Attributes:
    size: Height and width of the windows, in pixels. A side of the frame that
      is shorter is kept whole, and padded.
    clips: Clips per segment.
    seed: Seed of the starts and windows.
    padded: Whether frames may have a side that is shorter.
  """

  size: int
  clips: int
  seed: int
  padded: bool = False

  @property
  def estimate(self) -> int:
    """Windows per segment."""
    return self.clips

  def cuts(self, segment: Segment, height: int, width: int) -> Cuts:
    """Places the clips of a segment, see `Placement.cuts`."""
    rng = np.random.default_rng((self.seed, segment.video, segment.first))
    length = segment.stop - segment.first

    def cut() -> tuple[int, tuple[Window, ...]]:
      start = sampling.random_start(rng, length, self.frames, self.stride)
      window = sampling.random_window(rng, height, width, self.size)
      return segment.first + start, (window,)

    return [cut() for _ in range(self.clips)]


def make_placement(
  clips: Clips, shown: ShownClips, size: int, short_side: int
) -> FixedPlacement:
  """Makes the placement of the clips of an evaluation.

  Args:
    clips: Which frames make a clip.
    shown: Which clips are evaluated, and in which crops.
    size: Height and width of the views of the network, in pixels.
    short_side: Short side of the source's frames, in pixels.

  Raises:
    ConfigError: If a crop does not fit the frames of the dataset; names the
      field.
  """
  field = "test.size" if shown.size else "model.size"
  crop = shown.size or size
  if not 2 <= crop <= short_side or crop % 2:
    raise ConfigError(
      f"config.{field}={crop} must be even and at most the short side of the "
      f"frames, {short_side}; prepare with a larger --short_side, or lower it"
    )
  window = shown.size or canvas.shown_window(clips, size, short_side)
  return FixedPlacement(
    clips.frames, clips.stride, window, shown.clips, shown.crops, fps=clips.fps
  )
