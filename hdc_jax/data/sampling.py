"""Which frames and which window of a video make a clip: plain arithmetic.

Everything random takes a NumPy generator, so that the caller decides what the
draw depends on.
"""

import numpy as np

from hdc_jax.data import codec


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


def spread_starts(
  clips: int, frames: int, stride: int, first: int, stop: int
) -> list[int]:
  """Evenly spread starts of clips within [first, stop).

  The protocol of video clip order prediction: centres at a linspace from half a
  clip after the beginning to half a clip before the end.
  """
  slack = max(0, stop - first - clip_span(frames, stride))
  return [first + int(start) for start in np.linspace(0, slack, clips)]


def random_window(
  rng: np.random.Generator, height: int, width: int, size: int
) -> codec.Window:
  """A square of `size` at random even offsets, as half-size chroma needs."""
  top, left = (
    2 * int(rng.integers((side - size) // 2 + 1)) for side in (height, width)
  )
  return codec.Window(top, left, size, size)


def centre_window(height: int, width: int, size: int) -> codec.Window:
  """The square of `size` in the middle, at even offsets."""
  top, left = (2 * ((side - size) // 4) for side in (height, width))
  return codec.Window(top, left, size, size)
