"""Measures how many training clips per second a core of this machine decodes.

From this `plan` estimates how many cores a host needs to feed its chips.
"""

import dataclasses
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence

import numpy as np

from hdc_jax.data.clips import sampling, training_clips
from hdc_jax.data.options import Clips
from hdc_jax.data.store.index import Index
from hdc_jax.data.store.records import Segments
from hdc_jax.data.synthetic import videos as synthetic
from hdc_jax.data.video import codec
from hdc_jax.data.video.codec import Encoded
from hdc_jax.data.video.frames import Frames, Indices, Window

# The generated video is as long as those of Kinetics-400, and as wide as most.
_FRAMES = 250
_ASPECT = 4 / 3

# The usual short sides of prepared videos in pixels; the first is the default.
_SHORT_SIDES = (128, 256)


def likely_short_side(canvas: int) -> int:
  """The most likely short side of the videos that a canvas is cut from.

  Args:
    canvas: Side of the canvas in pixels.

  Returns:
    Pixels.
  """
  return max((s for s in _SHORT_SIDES if s <= canvas), default=_SHORT_SIDES[0])


def clips_per_second(
  clips: Clips,
  starts: sampling.Starts,
  short_side: int,
  seconds: float,
) -> float:
  """Measures how many clips per second a core cuts from H.264 video.

  Args:
    clips: How clips are cut.
    starts: How the method places the clips of a video.
    short_side: Short side in pixels of the generated video.
    seconds: CPU time to measure for, in seconds. The time of the core that
      other processes take does not count.

  Returns:
    Clips per second of CPU time.
  """
  source = _generate(short_side)
  cut = training_clips.make_cut(
    source, clips, records=np.arange(1), starts=starts
  )
  rng = np.random.default_rng(0)
  cut.random_map([0], rng)  # The first call creates the decoder.
  start, count = time.thread_time(), 0
  while (spent := time.thread_time() - start) < seconds:
    count += len(cut.random_map([0], rng)["y"])
  return count / spent


@dataclasses.dataclass(eq=False)
class _Generated:
  """A generated video, see `data.sources.Video`."""

  encoded: Encoded
  num_frames: int
  fps: float
  height: int
  width: int
  labels: Mapping[str, Segments] = dataclasses.field(default_factory=dict)
  tags: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)
  group: str = ""
  id: str = "generated"

  def read(self, indices: Indices, window: Window) -> Frames:
    return codec.decode(self.encoded, indices, window)

  def label(self, name: str, frame: int) -> int:
    raise KeyError(name)


@dataclasses.dataclass(eq=False)
class _Alone:
  """A source that holds one video alone, see `data.sources.Source`."""

  index: Index
  video: _Generated

  def __len__(self) -> int:
    return 1

  def __getitem__(self, i: int) -> _Generated:
    return self.video


def _generate(side: int) -> _Alone:
  """Generates a video and encodes it as `prepare` does, to a short side."""
  video = synthetic.draw(0, 0, _FRAMES, side, 2 * round(side * _ASPECT / 2))
  with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "video.mp4")
    synthetic.write(video, path)
    encoded = codec.encode(path, short_side=side)
  index = Index("", "", "h264", side, 1, _FRAMES, {}, {}, (), ())
  size = encoded.num_frames, encoded.fps, encoded.height, encoded.width
  return _Alone(index, _Generated(encoded, *size))


def processor() -> str:
  """The name of this machine's CPU, such as 'AMD EPYC 7B12'."""
  try:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
      names = [line for line in file if line.startswith("model name")]
    return names[0].split(":", 1)[1].strip()
  except (OSError, IndexError):
    return platform.processor() or platform.machine()
