"""Videos without files, whose frames show their number."""

import dataclasses
import types

import numpy as np

from hdc_jax.data.video.frames import Frames
from hdc_jax.errors import DataError


@dataclasses.dataclass
class Video:
  """A video: luma is the number of the frame, or a ramp from left to right."""

  id: str = "video"
  num_frames: int = 100
  fps: float = 30.0
  height: int = 4
  width: int = 4
  ramp: bool = False
  labels: dict = dataclasses.field(default_factory=dict)
  tags: dict = dataclasses.field(default_factory=dict)
  group: str = ""

  def read(self, indices, window):
    top, left, height, width = window
    assert 0 <= top <= self.height - height
    assert 0 <= left <= self.width - width
    shape = (len(indices), height, width)
    y = np.broadcast_to(np.asarray(indices, np.uint8)[:, None, None], shape)
    if self.ramp:
      columns = 20 + 200 * (np.arange(left, left + width) + 0.5) / self.width
      y = np.broadcast_to(np.rint(columns).astype(np.uint8), shape)
    uv = np.full((len(indices), height // 2, width // 2, 2), 128, np.uint8)
    return Frames(y.copy(), uv)

  def label(self, name, frame):
    raise KeyError(name)


class Source:
  """Videos by number, some of which cannot be read."""

  def __init__(self, videos, short_side=4, bad=()):
    self._videos, self._bad = videos, frozenset(bad)
    self.index = types.SimpleNamespace(short_side=short_side)

  def __len__(self):
    return len(self._videos)

  def __getitem__(self, i):
    if i in self._bad:
      raise DataError(f"video {i}: not to be read")
    return self._videos[i]


def many(count, bad=()):
  """Videos whose ids are their numbers."""
  return Source([Video(str(i)) for i in range(count)], bad=bad)
