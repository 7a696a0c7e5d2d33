"""Which frames and which window of a video make a clip: plain arithmetic.

Everything random takes a NumPy generator, so that the caller decides what the
draw depends on.
"""

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np

from hdc_jax.data.video import codec


def clip_span(frames: int, stride: int) -> int:
  """How many source frames a clip reaches over."""
  return (frames - 1) * stride + 1


def clip_indices(
  start: int, frames: int, stride: int, first: int, stop: int
) -> np.ndarray:
  """Source frames of the clip at `start`, looping within [first, stop).

  Returns:
    int64 [frames].
  """
  offsets = start - first + stride * np.arange(frames)
  return first + offsets % (stop - first)


def random_start(
  rng: np.random.Generator, num_frames: int, frames: int, stride: int
) -> int:
  """A start drawn uniformly from all at which the clip fits, else 0.

  HDC's "random temporal cropping": two such draws may overlap.
  """
  return int(rng.integers(max(1, num_frames - clip_span(frames, stride) + 1)))


def interval_starts(
  rng: np.random.Generator,
  num_frames: int,
  frames: int,
  stride: int,
  power: float = 1.0,
) -> tuple[int, int]:
  """Two starts that are rather close than far, in random order (CVRL).

  With M starts at which the clip fits, the interval k between the two has a
  density proportional to M^p - k^p, which falls from 0 to M: for power p = 1,
  2 (M - k) / M². The earlier start is uniform on those that leave room for k. A
  video too short for one clip has two independent starts anywhere: its clips
  loop (see `clip_indices`).

  Args:
    rng: To draw from.
    num_frames: Of the video.
    frames: Of a clip.
    stride: Source frames from one frame of a clip to the next.
    power: p, positive; the larger, the nearer to uniform intervals.
  """
  starts = num_frames - clip_span(frames, stride) + 1
  if starts < 1:
    first, second = rng.integers(num_frames, size=2)
    return int(first), int(second)
  interval = int(starts * _interval_quantile(rng.random(), power))
  first = int(rng.integers(starts - interval))
  pair = (first, first + interval)
  return pair if rng.random() < 0.5 else pair[::-1]


def _interval_quantile(u: float, power: float) -> float:
  """The x in [0, 1) at which CVRL's CDF ((p + 1) x - x^(p + 1)) / p is `u`."""
  low, high = 0.0, 1.0
  for _ in range(53):  # to the precision of a float
    x = (low + high) / 2
    if ((power + 1) * x - x ** (power + 1)) / power <= u:
      low = x
    else:
      high = x
  return low


def shifted_start(
  rng: np.random.Generator,
  num_frames: int,
  frames: int,
  stride: int,
  start: int,
) -> int:
  """A start of the same scene in other motion (DSM's temporal shift).

  Another random start; if that is less than two frames away, the given start
  moved by a third of the clip, or of the video if that is shorter. Choice: it
  is moved later, or earlier where the clip would run over the end; in a video
  too short for either the clip loops, as in the reference code.

  Args:
    rng: To draw from.
    num_frames: Of the video.
    frames: Of a clip.
    stride: Source frames from one frame of a clip to the next.
    start: Of the clip to differ from.
  """
  other = random_start(rng, num_frames, frames, stride)
  if abs(other - start) >= 2:
    return other
  span = clip_span(frames, stride)
  third = max(2, min(span, num_frames) // 3)
  if start + third + span <= num_frames or start < third:
    return (start + third) % num_frames
  return start - third


@runtime_checkable
class Starts(Protocol):
  """How a method places the clips that it contrasts.

  Attributes:
    clips: Per video.
  """

  @property
  def clips(self) -> int: ...  # noqa: D102

  def draw(
    self, rng: np.random.Generator, num_frames: int, frames: int, stride: int
  ) -> tuple[int, ...]:
    """The starts of the clips in a video."""
    ...


@dataclasses.dataclass(frozen=True)
class IndependentStarts:
  """Each clip anywhere, as in HDC.

  Attributes:
    clips: Per video.
  """

  clips: int = 1

  def draw(
    self, rng: np.random.Generator, num_frames: int, frames: int, stride: int
  ) -> tuple[int, ...]:
    """See `random_start`."""
    return tuple(
      random_start(rng, num_frames, frames, stride) for _ in range(self.clips)
    )


@dataclasses.dataclass(frozen=True)
class IntervalStarts:
  """Two clips, the less likely the further apart, as in CVRL.

  Attributes:
    power: p of the density of the interval.
  """

  power: float = 1.0
  clips = 2

  def draw(
    self, rng: np.random.Generator, num_frames: int, frames: int, stride: int
  ) -> tuple[int, ...]:
    """See `interval_starts`."""
    return interval_starts(rng, num_frames, frames, stride, self.power)


@dataclasses.dataclass(frozen=True)
class ShiftedStarts:
  """A clip, and another one of the same video, as in DSM."""

  clips = 2

  def draw(
    self, rng: np.random.Generator, num_frames: int, frames: int, stride: int
  ) -> tuple[int, ...]:
    """See `shifted_start`."""
    start = random_start(rng, num_frames, frames, stride)
    return start, shifted_start(rng, num_frames, frames, stride, start)


def spread_starts(
  clips: int, frames: int, stride: int, first: int, stop: int
) -> list[int]:
  """Evenly spread starts of clips within [first, stop).

  The protocol of video clip order prediction: centres at a linspace from half a
  clip after the beginning to half a clip before the end.
  """
  slack = max(0, stop - first - clip_span(frames, stride))
  return [first + int(start) for start in np.linspace(0, slack, clips)]


def dense_starts(frames: int, stride: int, first: int, stop: int) -> list[int]:
  """Starts of all clips that follow each other within [first, stop).

  The test protocol of HDC: "non-overlapping" clips. At least one; the last
  frames, if fewer than a clip, are not used.
  """
  span = clip_span(frames, stride)
  count = max(1, (stop - first) // span)
  return [first + i * span for i in range(count)]


def random_window(
  rng: np.random.Generator, height: int, width: int, size: int
) -> codec.Window:
  """A square of `size` at random even offsets, as half-size chroma needs.

  Where the frame is smaller, all of it.
  """
  top, left = (
    2 * int(rng.integers(max(0, side - size) // 2 + 1))
    for side in (height, width)
  )
  return codec.Window(top, left, min(height, size), min(width, size))


def centre_window(height: int, width: int, size: int) -> codec.Window:
  """The square of `size` in the middle, at even offsets."""
  top, left = (2 * ((side - size) // 4) for side in (height, width))
  return codec.Window(top, left, size, size)
