"""Cuts the clips of training out of videos: which, how large, what of them.

One video gives the clips of one example; one that cannot be decoded is replaced
by another.
"""

import dataclasses
import logging

import grain
import ml_collections
import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.clips import sampling
from hdc_jax.errors import ConfigError, DataError

_log = logging.getLogger(__name__)

Batch = dict[str, np.ndarray]

# Longest clip: more frames are a mistyped number rather than a wish.
MAX_FRAMES = 256
# How many other videos to try in place of one that cannot be decoded.
_REPLACEMENTS = 8


def check_frames(data: ml_collections.ConfigDict) -> None:
  """Checks how long clips are asked to be.

  Raises:
    ConfigError: Naming the field that is wrong.
  """
  if not 1 <= data.frames <= MAX_FRAMES:
    raise ConfigError(
      f"config.data.frames={data.frames} must be from 1 to {MAX_FRAMES}"
    )
  if data.stride < 1:
    raise ConfigError(f"config.data.stride={data.stride} must be at least 1")


def check_clips(
  short_side: int, data: ml_collections.ConfigDict, size: int
) -> None:
  """Checks that clips can be cut as asked: their length, canvas and view.

  Args:
    short_side: Of the source's frames, in pixels.
    data: `config.data`.
    size: Of the model's views.

  Raises:
    ConfigError: Naming the field that does not fit.
  """
  check_frames(data)
  if data.canvas < 2 or data.canvas % 2:
    raise ConfigError(f"config.data.canvas={data.canvas} must be even")
  # Beyond that, pixels would be made up.
  largest = min(data.canvas, short_side)
  if not 1 <= size <= largest:
    raise ConfigError(
      f"config.model.size={size} must be from 1 to config.data.canvas="
      f"{data.canvas} and to the short side of the frames, "
      f"{short_side}: lower it, or prepare with a larger "
      "--short_side"
    )


@dataclasses.dataclass(frozen=True)
class CutClips(grain.transforms.RandomMap):
  """Cuts random clips out of the video of a record number.

  Attributes:
    source: Where to look the number up.
    numbers: All record numbers in use, from which replacements are drawn.
    starts: Of the clips of a video.
    frames: Per clip.
    stride: Source frames from one to the next.
    canvas: Side of the square cut out, the same for all frames of a clip.
    padded: Whether frames may be smaller than that, and are filled up.
    label: Whose class to tell of each clip, if any: that of its middle frame.
  """

  source: sources.Source
  numbers: np.ndarray
  starts: sampling.Starts
  frames: int
  stride: int
  canvas: int
  padded: bool = False
  label: str = ""

  def random_map(self, number: int, rng: np.random.Generator) -> Batch:
    """Cuts the clips, of another video if this one cannot be decoded.

    Returns:
      'id' str; 'y' uint8 [clips, T, H, W]; 'uv' uint8 [clips, T, H/2, W/2, 2];
      'extent' int32 [clips, 2], height and width of the picture in its canvas,
      if `padded`; 'label' int32 [clips], if there is one; 'bad' int32, how many
      videos could not be decoded before this one.
    """
    for bad in range(_REPLACEMENTS):
      try:
        return self._cut(int(number), rng) | {"bad": np.int32(bad)}
      except DataError as error:
        _log.warning("replaced a video: %s", error)
        number, reason = rng.choice(self.numbers), error
    raise DataError(
      f"{_REPLACEMENTS} videos in a row could not be decoded, the last because "
      f"of: {reason}"
    )

  def _cut(self, number: int, rng: np.random.Generator) -> Batch:
    video = self.source[number]

    def cut(start: int) -> Batch:
      indices = sampling.clip_indices(
        start, self.frames, self.stride, 0, video.num_frames
      )
      window = sampling.random_window(
        rng, video.height, video.width, self.canvas
      )
      clip = video.read(indices, window)._asdict()
      if self.padded:
        clip = {name: _pad(x, self.canvas) for name, x in clip.items()}
        extent = window.height, window.width
        clip["extent"] = np.array(extent, np.int32)
      if self.label:
        middle = int(indices[self.frames // 2])
        clip["label"] = np.int32(video.label(self.label, middle))
      return clip

    starts = self.starts.draw(rng, video.num_frames, self.frames, self.stride)
    clips = [cut(start) for start in starts]
    stacked = {name: np.stack([c[name] for c in clips]) for name in clips[0]}
    return {"id": np.array(video.id)} | stacked


def _pad(plane: np.ndarray, canvas: int) -> np.ndarray:
  """Fills luma or half-size chroma [T, H, W, …] up at the bottom and right."""
  side = canvas // 2 if plane.ndim == 4 else canvas
  missing = [(0, side - n) for n in plane.shape[1:3]]
  return np.pad(plane, [(0, 0), *missing, *[(0, 0)] * (plane.ndim - 3)])


def make_cut(
  source: sources.Source,
  data: ml_collections.ConfigDict,
  *,
  numbers: np.ndarray,
  starts: sampling.Starts,
  label: str = "",
) -> CutClips:
  """What cuts the clips that `config.data` asks for, see `CutClips`."""
  return CutClips(
    source,
    numbers,
    starts,
    data.frames,
    data.stride,
    data.canvas,
    padded=data.canvas > source.index.short_side,
    label=label,
  )


def batch_shapes(
  data: ml_collections.ConfigDict, starts: sampling.Starts, short_side: int
) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
  """Shapes and dtypes of what a global batch has for the device.

  Args:
    data: `config.data`.
    starts: Of the clips of a video.
    short_side: Of the source's frames, in pixels.
  """
  clips = (data.batch_size, starts.clips)
  side, half = data.canvas, data.canvas // 2
  shapes = {
    "y": ((*clips, data.frames, side, side), np.dtype(np.uint8)),
    "uv": ((*clips, data.frames, half, half, 2), np.dtype(np.uint8)),
  }
  if side > short_side:
    shapes["extent"] = ((*clips, 2), np.dtype(np.int32))
  return shapes
