"""Chooses the frames of a clip, and the window that is cut out of each frame.

Random functions take a NumPy generator, so that the caller decides what a draw
depends on.
"""

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.video import codec
from hdc_jax.errors import DataError

# The fastest cameras take some millions of frames per second; what claims more
# is damaged.
_MAX_FPS = 1e7


def stride_in(video: sources.Video, stride: float, fps: float) -> float:
  """Source frames of a video from one frame of a clip to the next.

  Args:
    video: The video.
    stride: The number if no frame rate is given.
    fps: Frames per second of clips, of which any video then shows equally long
      clips; 0: by `stride`.

  Returns:
    The number, which need not be whole, see `frame_offsets`.

  Raises:
    DataError: If the video does not tell its frame rate, and that is needed.
  """
  if not fps:
    return stride
  if not 0 < video.fps <= _MAX_FPS:
    raise DataError(
      f"{video.id}: its frame rate is unknown, by which config.data.fps="
      f"{fps:g} places the frames of a clip: convert the video, or set "
      "config.data.stride instead"
    )
  return video.fps / fps


def frame_offsets(frames: int, stride: float) -> np.ndarray:
  """Numbers of the frames of a clip, counted from its first.

  Args:
    frames: Frames per clip.
    stride: Source frames from one frame of a clip to the next. It need not be
      whole. Choice: frame i is the one nearest to i·stride, and the later of
      two that are equally near. Below 1, frames are repeated.

  Returns:
    int64 [frames], of which the first is 0.

  >>> frame_offsets(4, 2).tolist(), frame_offsets(4, 0.5).tolist()
  ([0, 2, 4, 6], [0, 1, 1, 2])
  """
  return np.floor(np.arange(frames) * stride + 0.5).astype(np.int64)


def clip_span(frames: int, stride: float) -> int:
  """Source frames from the first to the last frame of a clip, inclusive.

  Args:
    frames: Frames per clip.
    stride: Source frames from one frame of a clip to the next.
  """
  return int(frame_offsets(frames, stride)[-1]) + 1


def clip_indices(
  start: int, frames: int, stride: float, first: int, stop: int
) -> np.ndarray:
  """Numbers of the frames of a clip, which loops if its segment is too short.

  Args:
    start: The first frame of the clip.
    frames: Frames per clip.
    stride: Source frames from one frame of a clip to the next.
    first: The first frame of the segment.
    stop: The frame after the last of the segment.

  Returns:
    Frame numbers in [first, stop), int64 [frames].
  """
  offsets = start - first + frame_offsets(frames, stride)
  return first + offsets % (stop - first)


def random_start(
  rng: np.random.Generator, num_frames: int, frames: int, stride: float
) -> int:
  """Draws a start uniformly from all at which the clip fits; 0 if none does.

  This is HDC's "random temporal cropping": two such clips may overlap.

  Args:
    rng: Generator to draw from.
    num_frames: Number of frames of the video.
    frames: Frames per clip.
    stride: Source frames from one frame of a clip to the next.
  """
  return int(rng.integers(max(1, num_frames - clip_span(frames, stride) + 1)))


def interval_starts(
  rng: np.random.Generator,
  num_frames: int,
  frames: int,
  stride: float,
  power: float = 1.0,
) -> tuple[int, int]:
  """Draws two starts, near ones more often than far ones (CVRL).

  Let M be the number of starts at which the clip fits. The interval k between
  the two starts has a density proportional to M^p - k^p, which falls from its
  maximum at k = 0 to 0 at k = M. For the power p = 1, it is 2 (M - k) / M². The
  earlier start is uniform on those that leave room for k. In a video too short
  for one clip, the two starts are independent and may be any frame: the clips
  loop (see `clip_indices`).

  Args:
    rng: Generator to draw from.
    num_frames: Number of frames of the video.
    frames: Frames per clip.
    stride: Source frames from one frame of a clip to the next.
    power: The exponent p, positive; the larger it is, the nearer to uniform is
      the interval.

  Returns:
    The two starts, in random order.
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
  for _ in range(53):  # a float has 53 bits of precision
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
  stride: float,
  start: int,
) -> int:
  """Draws the start of a clip with other motion (DSM's temporal shift).

  The start is drawn at random. If it is less than two frames from the given
  one, the given one is moved instead, by a third of the clip, or of the video
  if that is shorter. Choice: it is moved to a later frame, or to an earlier one
  if the clip would run over the end; in a video too short for either, the clip
  loops, as in the reference code.

  Args:
    rng: Generator to draw from.
    num_frames: Number of frames of the video.
    frames: Frames per clip.
    stride: Source frames from one frame of a clip to the next.
    start: Start of the clip whose motion is to differ.
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
  """At which frames of a video the clips of a method start.

  Attributes:
    clips: Clips per video.
  """

  @property
  def clips(self) -> int: ...  # noqa: D102

  def draw(
    self, rng: np.random.Generator, num_frames: int, frames: int, stride: float
  ) -> tuple[int, ...]:
    """Draws the starts of the clips of a video.

    Args:
      rng: Generator to draw from.
      num_frames: Number of frames of the video.
      frames: Frames per clip.
      stride: Source frames from one frame of a clip to the next.

    Returns:
      The first frame of each clip.
    """
    ...


@dataclasses.dataclass(frozen=True)
class IndependentStarts:
  """Clips that are placed independently and uniformly, as in HDC.

  Attributes:
    clips: Clips per video.
  """

  clips: int = 1

  def draw(
    self, rng: np.random.Generator, num_frames: int, frames: int, stride: float
  ) -> tuple[int, ...]:
    """Draws the starts, see `random_start`."""
    return tuple(
      random_start(rng, num_frames, frames, stride) for _ in range(self.clips)
    )


@dataclasses.dataclass(frozen=True)
class IntervalStarts:
  """Two clips, of which near ones are more likely than far ones, as in CVRL.

  Attributes:
    power: Exponent p of the density of the interval.
  """

  power: float = 1.0
  clips = 2

  def draw(
    self, rng: np.random.Generator, num_frames: int, frames: int, stride: float
  ) -> tuple[int, ...]:
    """Draws the starts, see `interval_starts`."""
    return interval_starts(rng, num_frames, frames, stride, self.power)


@dataclasses.dataclass(frozen=True)
class ShiftedStarts:
  """A clip, and another one with other motion, as in DSM."""

  clips = 2

  def draw(
    self, rng: np.random.Generator, num_frames: int, frames: int, stride: float
  ) -> tuple[int, ...]:
    """Draws the starts, see `shifted_start`."""
    start = random_start(rng, num_frames, frames, stride)
    return start, shifted_start(rng, num_frames, frames, stride, start)


def spread_starts(
  clips: int, frames: int, stride: float, first: int, stop: int
) -> list[int]:
  """Evenly spread starts of clips in a segment.

  The first clip begins at the first frame, the last one ends at the last frame,
  and the others are spaced evenly between them, as in the protocol of video
  clip order prediction.

  Args:
    clips: Number of clips.
    frames: Frames per clip.
    stride: Source frames from one frame of a clip to the next.
    first: The first frame of the segment.
    stop: The frame after the last of the segment.
  """
  slack = max(0, stop - first - clip_span(frames, stride))
  return [first + int(start) for start in np.linspace(0, slack, clips)]


def dense_starts(
  frames: int, stride: float, first: int, stop: int
) -> list[int]:
  """Starts of the non-overlapping clips of a segment (HDC's test protocol).

  There is at least one clip. The last frames are not used if they are fewer
  than a clip has.

  Args:
    frames: Frames per clip.
    stride: Source frames from one frame of a clip to the next.
    first: The first frame of the segment.
    stop: The frame after the last of the segment.
  """
  span = clip_span(frames, stride)
  count = max(1, (stop - first) // span)
  return [first + i * span for i in range(count)]


def random_window(
  rng: np.random.Generator, height: int, width: int, size: int
) -> codec.Window:
  """Draws a square window at even offsets, as half-size chroma needs.

  Args:
    rng: Generator to draw from.
    height: Height of the frame in pixels, even.
    width: Width of the frame in pixels, even.
    size: Side of the square in pixels, even; if a side of the frame is smaller,
      the window has all of that side.
  """
  top, left = (
    2 * int(rng.integers(max(0, side - size) // 2 + 1))
    for side in (height, width)
  )
  return codec.Window(top, left, min(height, size), min(width, size))


def centre_window(height: int, width: int, size: int) -> codec.Window:
  """The square window in the middle of a frame, at even offsets.

  Args:
    height: Height of the frame in pixels, even.
    width: Width of the frame in pixels, even.
    size: Side of the square in pixels, even, at most the frame's shorter one.
  """
  top, left = (2 * ((side - size) // 4) for side in (height, width))
  return codec.Window(top, left, size, size)
