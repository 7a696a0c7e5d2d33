"""Cuts training clips out of videos.

All clips of an element of a batch are cut out of the same video. A video that
cannot be decoded is replaced by another one, see `order`.
"""

import contextlib
import dataclasses
import logging
from typing import Any

import grain
import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.clips import canvas as canvas_lib
from hdc_jax.data.clips import sampling
from hdc_jax.data.labels import targets
from hdc_jax.data.options import Clips
from hdc_jax.errors import ConfigError, DataError, StorageError

_log = logging.getLogger(__name__)

# Arrays by name, and the shapes and dtypes of arrays by name.
Batch = dict[str, np.ndarray]
Shapes = dict[str, tuple[tuple[int, ...], np.dtype]]


def check_clips(clips: Clips, size: int, short_side: int | None = None) -> None:
  """Checks that the views of a network can be made from clips.

  Args:
    clips: How clips are cut.
    size: Height and width of the views, in pixels.
    short_side: Short side of the source's frames in pixels, where it is known.

  Raises:
    ConfigError: If a view would have more pixels than its clip.
  """
  limits = {
    f"config.data.canvas={clips.canvas}": clips.canvas,
    f"the short side of the frames, {short_side}": short_side or 0,
  }
  known = {name: pixels for name, pixels in limits.items() if pixels}
  if known and size > min(known.values()):
    raise ConfigError(
      f"config.model.size={size} must be from 1 to {' and to '.join(known)}: "
      "lower it, or prepare with a larger --short_side"
    )


@dataclasses.dataclass(frozen=True)
class CutClips(grain.transforms.RandomMap):
  """Cuts random clips out of the video with a given record number.

  Attributes:
    source: The videos.
    records: Record numbers of the videos to learn from, int64 [N].
    starts: How the clips of a video are placed in time.
    frames: Frames per clip.
    stride: Source frames from one frame of a clip to the next.
    fps: Frames per second of clips, instead of a stride; 0: by stride.
    canvas: Side in pixels of the square that is cut out of every frame of a
      clip, at the same place.
    padded: Whether frames may be smaller than the canvas. Such frames are
      padded with zeros.
    label: Name of the label that each clip gets: the class at its middle frame;
      or name of the tag whose classes it gets; '' for none.
    named: Record numbers of the videos that were named as failing: once, and
      not again in each epoch.
  """

  source: sources.Source
  records: np.ndarray
  starts: sampling.Starts
  frames: int
  stride: int
  fps: float
  canvas: int
  padded: bool = False
  label: str = ""
  named: dict[int, object] = dataclasses.field(
    default_factory=dict, compare=False, repr=False
  )

  @property
  def shapes(self) -> Shapes:
    """Shapes and dtypes of the clips of one video, without labels."""
    return _shapes(self.starts.clips, self.frames, self.canvas, self.padded)

  # Grain does not annotate what is overridden here.
  # pyrefly: ignore[bad-override]
  def random_map(self, element: Any, rng: np.random.Generator) -> Batch:
    """Cuts the clips, of another video if this one cannot be decoded.

    Args:
      element: Record numbers, at least one: that of the video, and those of
        videos that replace it in turn.
      rng: Generator of everything random in the clips.

    Returns:
      'id' str; 'y' uint8 [clips, T, H, W]; 'uv' uint8 [clips, T, H/2, W/2, 2];
      'extent' int32 [clips, 2], height and width of the picture in its canvas,
      if `padded`; 'label', if `label` is set: int32 [clips], or for a tag
      int32 [clips, classes], 1 for each class that the video shows; 'bad'
      int32, how many videos failed to decode before one could be decoded.

    Raises:
      DataError: If none of these videos can be decoded.
    """
    bad, reason = 0, ""
    for bad, number in enumerate(element):
      try:
        return self._cut(int(number), rng) | {"bad": np.array(bad, np.int32)}
      except DataError as error:
        reason = str(error)
        this_time = object()
        # Atomic, as several threads cut clips.
        if self.named.setdefault(int(number), this_time) is this_time:
          _log.warning("a video is replaced by another one: %s", reason)
    raise DataError(
      f"{bad + 1} videos in a row could not be decoded: repair or remove "
      "them, or lower config.data.batch_size, so that more videos can take "
      f"their place in the batch; the last error is: {reason}"
    )

  def draw(
    self, video: sources.Video, rng: np.random.Generator
  ) -> tuple[float, tuple[int, ...]]:
    """Draws where the clips of a video begin.

    Args:
      video: The video.
      rng: Generator of everything random in the clips, of which this is drawn
        first.

    Returns:
      Source frames from one frame of a clip to the next, and the first frame
      of each clip.
    """
    stride = sampling.stride_in(video, self.stride, self.fps)
    return stride, self.starts.draw(rng, video.num_frames, self.frames, stride)

  def _cut(self, number: int, rng: np.random.Generator) -> Batch:
    video = self.source[number]
    stride, starts = self.draw(video, rng)

    def cut(start: int) -> Batch:
      indices = sampling.clip_indices(
        start, self.frames, stride, 0, video.num_frames
      )
      window = sampling.random_window(
        rng, video.height, video.width, self.canvas
      )
      clip: Batch = video.read(indices, window)._asdict()
      if self.padded:
        clip = pad(clip, self.canvas)
      if self.label:
        middle = int(indices[self.frames // 2])
        clip["label"] = targets.true_classes(
          self.source.index, video, self.label, middle
        )
      return clip

    clips = [cut(start) for start in starts]
    stacked = {name: np.stack([c[name] for c in clips]) for name in clips[0]}
    return {"id": np.array(video.id)} | stacked


@dataclasses.dataclass(frozen=True)
class FetchClips(grain.transforms.RandomMap):
  """Reads ahead, out of a bucket, what clips are cut out of.

  In the place of `CutClips` in a dataset it gets the same generators, and so
  finds the same clips.

  Attributes:
    cut: Cuts the clips later.
  """

  cut: CutClips

  # Grain does not annotate what is overridden here.
  # pyrefly: ignore[bad-override]
  def random_map(self, element: Any, rng: np.random.Generator) -> None:
    """Reads ahead the frames of all clips of a video.

    Args:
      element: Record numbers, see `CutClips.random_map`; only the first is
        fetched.
      rng: Generator of everything random in the clips.
    """
    # An error comes again when the clips are cut, which knows what follows.
    with contextlib.suppress(DataError, StorageError):
      video = self.cut.source[int(next(iter(element)))]
      stride, starts = self.cut.draw(video, rng)
      if isinstance(video, sources.Fetchable):
        indices = [
          sampling.clip_indices(
            start, self.cut.frames, stride, 0, video.num_frames
          )
          for start in starts
        ]
        video.fetch(np.concatenate(indices))


def pad(clip: Batch, canvas: int) -> Batch:
  """Pads the frames of a clip at the bottom and right, with zeros.

  Args:
    clip: 'y' uint8 [T, H, W] and 'uv' uint8 [T, H/2, W/2, 2].
    canvas: Side of the padded frames in pixels.

  Returns:
    The padded planes, and 'extent' int32 [2], height and width before.
  """

  def pad_plane(plane: np.ndarray, side: int) -> np.ndarray:
    missing = [(0, side - n) for n in plane.shape[1:3]]
    return np.pad(plane, [(0, 0), *missing, *[(0, 0)] * (plane.ndim - 3)])

  return {
    "y": pad_plane(clip["y"], canvas),
    "uv": pad_plane(clip["uv"], canvas // 2),
    "extent": np.array(clip["y"].shape[1:3], np.int32),
  }


def make_cut(
  source: sources.Source,
  clips: Clips,
  *,
  records: np.ndarray,
  starts: sampling.Starts,
  label: str = "",
) -> CutClips:
  """Makes the transform that cuts training clips out of videos.

  Args:
    source: The videos.
    clips: How clips are cut.
    records: Record numbers of the videos to learn from, int64 [N].
    starts: How the clips of a video are placed in time.
    label: Name of the label or tag whose classes go with each clip; '' for
      none.

  Returns:
    The transform, which pads frames that are smaller than the canvas.
  """
  canvas = canvas_lib.side(clips, source.index.short_side)
  return CutClips(
    source,
    records,
    starts,
    clips.frames,
    clips.stride,
    clips.fps,
    canvas,
    padded=canvas > source.index.short_side,
    label=label,
  )


def _shapes(clips: int, frames: int, side: int, padded: bool) -> Shapes:
  """Shapes and dtypes of the clips of a video, see `CutClips.random_map`."""
  shapes: Shapes = {
    "y": ((clips, frames, side, side), np.dtype(np.uint8)),
    "uv": ((clips, frames, side // 2, side // 2, 2), np.dtype(np.uint8)),
  }
  if padded:
    shapes["extent"] = ((clips, 2), np.dtype(np.int32))
  return shapes


def batch_shapes(
  clips: Clips, starts: sampling.Starts, short_side: int, batch_size: int
) -> Shapes:
  """Shapes and dtypes of the arrays that devices receive as a global batch.

  Args:
    clips: How clips are cut.
    starts: How the clips of a video are placed in time.
    short_side: Short side of the source's frames, in pixels.
    batch_size: Videos in the batch.

  Returns:
    Shape and dtype by name, as in `CutClips.random_map` with a leading axis of
    `batch_size`; labels are not among them.
  """
  side = canvas_lib.side(clips, short_side)
  shapes = _shapes(starts.clips, clips.frames, side, side > short_side)
  return {
    name: ((batch_size, *shape), dtype)
    for name, (shape, dtype) in shapes.items()
  }
