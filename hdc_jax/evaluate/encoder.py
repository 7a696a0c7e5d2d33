"""A trained backbone that encodes video files: the API of `hdc_jax.load`."""

import dataclasses
import functools
import os
from typing import Any

import jax
import numpy as np

from hdc_jax.augment import geometry
from hdc_jax.data import sources
from hdc_jax.data.clips import canvas, sampling
from hdc_jax.data.clips.placement import FixedPlacement
from hdc_jax.data.labels.segments import Segment
from hdc_jax.data.options import Clips
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.evaluate import features, pretrained
from hdc_jax.evaluate.features import Features

# Short side, in pixels, to which larger frames are reduced: the largest that
# prepared datasets usually have.
_SHORT_SIDE = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Encoder:
  """A trained backbone, with the length and size of its training clips.

  Attributes:
    loaded: The backbone and its weights.
    clips: Which frames make a clip.
    size: Height and width of the crop of a clip, in pixels.
  """

  loaded: pretrained.Pretrained
  clips: Clips
  size: int

  def encode(
    self,
    video: str | os.PathLike[str],
    *,
    clips: int = 10,
    endpoint: str = "block5",
    pool: str = "average",
  ) -> np.ndarray:
    """Encodes evenly spread clips of a video file, in their centre crops.

    Args:
      video: Path of a video file, of any format that FFmpeg reads.
      clips: Number of clips; 0 for as many as fit without overlap.
      endpoint: The block whose output is pooled: 'block1' to 'block5'.
      pool: 'average' or 'max' over all positions, or 'cells', see
        `features.pool`.

    Returns:
      Features, float32 [clips, D].

    Raises:
      ConfigError: If there is no such endpoint or pooling.
      DataError: If the video cannot be decoded.
    """
    describe = self._compile(Features(endpoint=endpoint, pool=pool))
    wanted = canvas.short_side_for(self.clips, self.size)
    short_side = max(self.size, min(wanted, _SHORT_SIDE))
    opened = sources.open_video(os.fspath(video), short_side)
    placement = FixedPlacement(
      self.clips.frames,
      self.clips.stride,
      self.size,
      clips,
      "centre",
      fps=self.clips.fps,
    ).at_rate_of(opened)
    segment = Segment(0, 0, opened.num_frames, -1)
    encoded = []
    for start, windows in placement.cuts(segment, opened.height, opened.width):
      indices = sampling.clip_indices(
        start, placement.frames, placement.stride, 0, opened.num_frames
      )
      frames = opened.read(indices, windows[0])
      encoded.append(describe(self.loaded.variables, frames.y, frames.uv))
    return np.stack(jax.device_get(encoded))

  @functools.cache  # noqa: B019 - as long as the encoder, which has the weights
  def _compile(self, wanted: Features) -> Any:
    """Compiles the function of weights and planes of a clip to features [D]."""
    describe = features.make_describe(self.loaded.backbone, wanted)
    view = features.centre_view(self.size)

    @jax.jit
    def encode(variables: Any, y: jax.Array, uv: jax.Array) -> jax.Array:
      clip = view(jax.random.key(0), geometry.Canvas(y, uv))
      return describe(variables, clip[None])[0]

    return encode


def load(run: str | os.PathLike[str]) -> Encoder:
  """Loads the backbone of a run, with which to encode videos.

  Args:
    run: Directory of a run (its newest checkpoint is meant), or one step in it:
      RUN/checkpoints/N.

  Raises:
    DataError: If there is no checkpoint, or if it is damaged.
  """
  loaded = pretrained.load(os.fspath(run), mesh_lib.make_mesh(devices=1))
  clips = Clips.from_values(loaded.config["data"])
  return Encoder(loaded, clips, loaded.backbone.size)
