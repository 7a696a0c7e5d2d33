"""How fast this machine cuts training clips, and so how a host can feed."""

import dataclasses
import os
import platform
import tempfile
import time
from collections.abc import Mapping

import numpy as np

from hdc_jax.data.clips import cutting, sampling
from hdc_jax.data.options import Clips
from hdc_jax.data.store.records import Index, Segments
from hdc_jax.data.synthetic import videos as synthetic
from hdc_jax.data.video import codec
from hdc_jax.data.video.codec import Encoded, Frames, Window

# As long as the videos of Kinetics-400, and as wide as most.
_FRAMES = 250
_ASPECT = 4 / 3

# What `prepare` is mostly asked for; the first is its default.
_SHORT_SIDES = (128, 256)


def likely_short_side(canvas: int) -> int:
  """The short side that a canvas is most likely cut from, in pixels."""
  return max((s for s in _SHORT_SIDES if s <= canvas), default=_SHORT_SIDES[0])


def clips_per_second(
  clips: Clips,
  starts: sampling.Starts,
  short_side: int,
  seconds: float,
) -> float:
  """Measures how many clips a core cuts from a generated H.264 video.

  Args:
    clips: How clips are cut.
    starts: How the clips of a video are placed in time.
    short_side: Short side of the video's frames, in pixels.
    seconds: Seconds of a core's time to measure for.
  """
  source = _generate(short_side)
  cut = cutting.make_cut(source, clips, numbers=np.arange(1), starts=starts)
  rng = np.random.default_rng(0)
  cut.random_map(0, rng)  # makes the decoder
  start, count = time.thread_time(), 0
  while (spent := time.thread_time() - start) < seconds:
    count += len(cut.random_map(0, rng)["y"])
  return count / spent


@dataclasses.dataclass(frozen=True, eq=False)
class _Generated:
  """One video and the source of it, see `data.sources`."""

  encoded: Encoded
  index: Index
  labels: Mapping[str, Segments] = dataclasses.field(default_factory=dict)
  id: str = "generated"

  def __len__(self) -> int:
    return 1

  def __getitem__(self, i: int) -> "_Generated":
    return self

  @property
  def num_frames(self) -> int:
    return self.encoded.num_frames

  @property
  def fps(self) -> float:
    return self.encoded.fps

  @property
  def height(self) -> int:
    return self.encoded.height

  @property
  def width(self) -> int:
    return self.encoded.width

  def read(self, indices: np.ndarray, window: Window) -> Frames:
    return codec.decode(self.encoded, indices, window)

  def label(self, name: str, frame: int) -> int:
    raise KeyError(name)


def _generate(side: int) -> _Generated:
  """A video as `prepare` would have it, with this short side."""
  video = synthetic.draw(0, 0, _FRAMES, side, 2 * round(side * _ASPECT / 2))
  with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "video.mp4")
    synthetic.write(video, path)
    encoded = codec.encode(path, short_side=side)
  index = Index("", "", "h264", side, 1, _FRAMES, {}, {}, (), ())
  return _Generated(encoded, index)


def processor() -> str:
  """This machine's CPU in words."""
  try:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
      names = [line for line in file if line.startswith("model name")]
    return names[0].split(":", 1)[1].strip()
  except (OSError, IndexError):
    return platform.processor() or platform.machine()
