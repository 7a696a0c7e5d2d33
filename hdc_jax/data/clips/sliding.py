"""Windows that slide over a video: clips at regular intervals, in a stream.

Only the frames of one window are in memory, so a video may have any length.
"""

import collections
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from hdc_jax.data.clips import sampling
from hdc_jax.data.video import frames as frames_lib
from hdc_jax.data.video.frames import Frames
from hdc_jax.data.video.normalize import split_planes


class SlidWindow(NamedTuple):
  """A window of a video.

  Attributes:
    start: When its first frame is shown, in seconds.
    end: When its last frame ends, in seconds.
    frames: Its frames, [T, size, size].
  """

  start: float
  end: float
  frames: Frames


def slide(
  timed: Iterable[tuple[float, np.ndarray]],
  *,
  frames: int,
  stride: float,
  step: float,
  size: int,
  fps: float,
) -> Iterator[SlidWindow]:
  """Cuts windows out of the frames of a video as they come.

  Window k begins at the frame nearest to k · step, and the windows are all that
  end within the video. A video that is shorter than a window has one, in which
  it loops.

  Args:
    timed: For each frame the time in seconds at which it is shown, and the
      frame, uint8 [3·H/2, W], as in `originals`.
    frames: Frames of a window.
    stride: Source frames from one frame of a window to the next.
    step: Source frames from one window to the next, at least 1.
    size: Height and width of the windows in pixels: the centre of each frame.
    fps: Frames per second of the video.

  Yields:
    The windows, in order.
  """
  span = sampling.clip_span(frames, stride)
  held: collections.deque[tuple[float, Frames]] = collections.deque()
  windows = start = 0

  def cut(first: int, stop: int) -> SlidWindow:
    """The window whose first frame is the first that is held."""
    numbers = sampling.clip_indices(first, frames, stride, first, stop) - first
    times, planes = zip(*held, strict=True)
    joined = Frames(
      *(np.concatenate(parts) for parts in zip(*planes, strict=True))
    )
    return SlidWindow(
      times[0],
      times[numbers.max()] + 1 / fps,
      Frames(joined.y[numbers], joined.uv[numbers]),
    )

  for i, (time, frame) in enumerate(timed):
    if i < start:  # between two windows
      continue
    height, width = split_planes(frame)[0].shape
    window = sampling.centre_window(height, width, size)
    held.append((time, frames_lib.crop([frame], window)))
    if len(held) == span:
      yield cut(start, start + span)
      windows += 1
      begin = int(np.floor(windows * step + 0.5))
      for _ in range(min(begin - start, len(held))):
        held.popleft()
      start = begin
  if not windows and held:
    yield cut(0, len(held))
