"""Windows over a stream of frames, beside their definition in NumPy."""

import numpy as np
import pytest

from hdc_jax.data.clips import sliding

FPS = 10.0


def stream(count, seen=None, times=None):
  """Frames of 6×8 pixels whose luma is their number."""
  for i in range(count):
    if seen is not None:
      seen.append(i)
    time = times[i] if times is not None else i / FPS
    yield time, np.full((9, 8), i, np.uint8)


def slide(timed, **options):
  return sliding.slide(timed, size=4, fps=FPS, **options)


def numbers(window):
  """The frames of a window."""
  assert window.frames.y.shape[1:] == (4, 4)
  assert window.frames.uv.shape[1:] == (2, 2, 2)
  assert (window.frames.y == window.frames.uv[:, :1, :1, 0]).all()
  return window.frames.y[:, 0, 0].tolist()


@pytest.mark.parametrize("count", [1, 3, 7, 8, 9, 40, 41])
@pytest.mark.parametrize(("frames", "stride"), [(4, 2), (8, 1), (5, 1.5)])
@pytest.mark.parametrize("step", [1.0, 2.5, 7.0, 11.3])
def test_windows(count, frames, stride, step):
  offsets = np.floor(np.arange(frames) * stride + 0.5).astype(int)
  span = offsets[-1] + 1
  starts = [int(k * step + 0.5) for k in range(count)]
  want = [(start + offsets).tolist() for start in starts]
  want = [window for window in want if window[-1] < count]
  if count < span:
    want = [(offsets % count).tolist()]
  found = list(slide(stream(count), frames=frames, stride=stride, step=step))
  assert [numbers(window) for window in found] == want
  np.testing.assert_allclose(
    [(window.start, window.end) for window in found],
    [(min(window) / FPS, (max(window) + 1) / FPS) for window in want],
  )


def test_times_are_those_of_the_frames():
  times = np.array([0, 0.1, 0.5, 0.6, 2.0, 2.1, 7.0])
  found = list(slide(stream(7, times=times), frames=3, stride=1, step=2.0))
  assert [(w.start, round(w.end, 6)) for w in found] == [
    (0.0, 0.6),
    (0.5, 2.1),
    (2.0, 7.1),
  ]


def test_no_frame_is_read_before_it_is_needed():
  seen = []
  windows = slide(stream(100, seen), frames=4, stride=1, step=10.0)
  for k in range(3):
    next(windows)
    assert len(seen) == 10 * k + 4


def test_nothing_of_nothing():
  assert not list(slide(stream(0), frames=4, stride=1, step=1.0))
