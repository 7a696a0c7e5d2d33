"""Clips of single videos, which are files or arrays, without a dataset."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from hdc_jax.data import sources
from hdc_jax.data.clips import canvas, sampling, sliding
from hdc_jax.data.clips.placement import FixedPlacement
from hdc_jax.data.clips.training_clips import Batch
from hdc_jax.data.labels.segments import Segment
from hdc_jax.data.options import Clips
from hdc_jax.data.video.arrays import ArrayVideo
from hdc_jax.data.video.originals import Original
from hdc_jax.errors import ConfigError, require

# A path of a video file, or the frames of a video: RGB, uint8 [T, H, W, 3].
Video = str | os.PathLike[str] | np.ndarray

# Short side, in pixels, to which larger frames are reduced: the largest that
# prepared datasets usually have.
_SHORT_SIDE = 256


class _Timed(Protocol):
  """A video whose frames come in order."""

  @property
  def fps(self) -> float: ...

  def timed_frames(self) -> Iterator[tuple[float, np.ndarray]]: ...


def is_single(videos: Any) -> bool:
  """Whether a value is one video, not several."""
  path = isinstance(videos, (str, os.PathLike))
  return path or getattr(videos, "ndim", 0) == 4


@dataclasses.dataclass(frozen=True)
class SingleVideos:
  """How clips are cut out of single videos: in their centre crops.

  Attributes:
    clips: Which frames make a clip.
    size: Height and width of the crops in pixels.
    fps: Frames per second of videos that are arrays; 0 if unknown.
  """

  clips: Clips
  size: int
  fps: float = 0.0

  @property
  def short_side(self) -> int:
    """The short side to which frames are scaled, in pixels."""
    wanted = canvas.short_side_for(self.clips, self.size)
    return max(self.size, min(wanted, _SHORT_SIDE))

  def spread(self, video: Video, count: int) -> Batch:
    """Cuts evenly spread clips out of a video.

    Args:
      video: The video.
      count: Number of clips; 0 for as many as fit without overlap.

    Returns:
      'y' uint8 [n, T, S, S] and 'uv' uint8 [n, T, S/2, S/2, 2].

    Raises:
      ConfigError: If the frame rate of an array is needed or without effect.
      DataError: If the video cannot be decoded.
    """
    self._check_rate(video, needed=bool(self.clips.fps))
    opened: sources.Video = (
      sources.open_video(os.fspath(video), self.short_side)
      if isinstance(video, (str, os.PathLike))
      else ArrayVideo(np.asarray(video), self.short_side, self.fps)
    )
    placement = FixedPlacement(
      self.clips.frames,
      self.clips.stride,
      self.size,
      count,
      "centre",
      fps=self.clips.fps,
    ).at_rate_of(opened)
    segment = Segment(0, 0, opened.num_frames, -1)
    cut = []
    for start, windows in placement.cuts(segment, opened.height, opened.width):
      indices = sampling.clip_indices(
        start, placement.frames, placement.stride, 0, opened.num_frames
      )
      cut.append(opened.read(indices, windows[0]))
    return {
      "y": np.stack([frames.y for frames in cut]),
      "uv": np.stack([frames.uv for frames in cut]),
    }

  def slide(self, video: Video, every: float) -> Iterator[Batch]:
    """Cuts windows at regular intervals out of a video, as it is decoded.

    Args:
      video: The video.
      every: Seconds from one window to the next; 0: each begins where the one
        before ends.

    Yields:
      For each window 'y' uint8 [1, T, S, S], 'uv' uint8 [1, T, S/2, S/2, 2],
      and 'start' and 'end', float64 [1], in seconds.

    Raises:
      ConfigError: If the frame rate of an array is missing, or windows begin
        within the same frame.
      DataError: If the video cannot be decoded.
    """
    self._check_rate(video, needed=True)
    with self._open_stream(video) as opened:
      fps, stride = opened.fps, float(self.clips.stride)
      if self.clips.fps:
        stride = fps / self.clips.fps
      step = float(sampling.clip_span(self.clips.frames, stride))
      if every:
        step = every * fps
      # Rounding must not refuse what is meant to be a frame.
      if not 1 - 1e-6 <= step < np.inf:
        raise ConfigError(
          f"every={every:g} must be at least a frame, {1 / fps:.3g} seconds"
        )
      for window in sliding.slide(
        opened.timed_frames(),
        frames=self.clips.frames,
        stride=stride,
        step=max(1.0, step),
        size=self.size,
        fps=fps,
      ):
        yield {
          "y": window.frames.y[None],
          "uv": window.frames.uv[None],
          "start": np.array([window.start]),
          "end": np.array([window.end]),
        }

  def _check_rate(self, video: Video, needed: bool) -> None:
    """Raises ConfigError if `fps` is missing, or without effect."""
    if not isinstance(video, (str, os.PathLike)):
      if needed:
        require("fps", self.fps, "name the frames per second of the array")
    elif self.fps:
      raise ConfigError(
        f"fps={self.fps:g} is for arrays, but {os.fspath(video)} is a file, "
        "which has its own: leave it out"
      )

  @contextlib.contextmanager
  def _open_stream(self, video: Video) -> Iterator[_Timed]:
    """Opens a video whose frames are needed in order."""
    if isinstance(video, (str, os.PathLike)):
      with Original(os.fspath(video), self.short_side) as original:
        yield original
    else:
      yield ArrayVideo(np.asarray(video), self.short_side, self.fps)
