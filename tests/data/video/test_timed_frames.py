"""The times at which the frames of a file are shown."""

from fractions import Fraction

import av
import numpy as np
import pytest

from hdc_jax.data.video.originals import Original

TIMES = [0, 40, 50, 250, 1000, 1040]  # of the frames, in milliseconds


def write(path, codec, first):
  """A file whose frames are shown at `TIMES`, after a first time."""
  with av.open(str(path), "w") as container:
    stream = container.add_stream(codec, rate=1000)
    stream.width = stream.height = 32
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, 1000)
    for i, time in enumerate(TIMES):
      picture = np.full((32, 32, 3), 40 * i, np.uint8)
      frame = av.VideoFrame.from_ndarray(picture, "rgb24")
      frame.pts, frame.time_base = first + time, Fraction(1, 1000)
      container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


@pytest.mark.parametrize("first", [0, 1500])
@pytest.mark.parametrize(
  ("name", "codec"), [("v.mp4", "libx264"), ("v.mkv", "libx264")]
)
def test_any_times(name, codec, first, tmp_path):
  """Of a phone, say, whose frames are not equally far apart."""
  write(tmp_path / name, codec, first)
  with Original(str(tmp_path / name), 32) as original:
    times, frames = zip(*original.timed_frames(), strict=True)
    plain = list(original.frames())
  np.testing.assert_allclose(times, np.array(TIMES) / 1000, atol=1e-3)
  assert all(map(np.array_equal, frames, plain))


def test_a_container_without_times(write_video, tmp_path):
  """Where FFmpeg guesses them."""
  path = write_video(tmp_path / "v.avi", frames=7, codec="mpeg4", rate=20)
  with Original(str(path), 32) as original:
    times = [time for time, _ in original.timed_frames()]
  np.testing.assert_allclose(times, np.arange(7) / 20)
