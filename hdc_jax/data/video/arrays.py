"""Videos that are arrays in memory, with the frames that files would have."""

from collections.abc import Iterator, Mapping, Sequence

import av
import numpy as np

from hdc_jax.data.store.records import Segments
from hdc_jax.data.video import frames as frames_lib
from hdc_jax.data.video.frames import Frames, Indices, Window
from hdc_jax.data.video.normalize import Normalizer
from hdc_jax.errors import ConfigError, DataError


class ArrayVideo:
  """A video whose frames are an array, see `sources.Video`.

  Its frames are scaled and converted as those of a video file are.
  """

  id = "array"
  group = ""

  def __init__(
    self, array: np.ndarray, short_side: int, fps: float = 0.0
  ) -> None:
    """Checks the array, and converts its first frame.

    Args:
      array: RGB, uint8 [T, H, W, 3].
      short_side: Short side of the frames in pixels; even.
      fps: Frames per second; 0 if unknown.

    Raises:
      ConfigError: If the array is of another shape or type.
    """
    if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8:
      raise ConfigError(
        f"a video is an array of RGB, uint8 [T, H, W, 3], not {array.dtype} "
        f"{list(array.shape)}"
      )
    if not array.size:
      raise ConfigError(f"a video of shape {list(array.shape)} has no pixels")
    self.labels: Mapping[str, Segments] = {}
    self.tags: Mapping[str, Sequence[int]] = {}
    self.num_frames, self.fps = len(array), fps
    self._array = array
    self._normalize = Normalizer(short_side, None)
    rows, self.width = self._frame(0).shape
    self.height = rows * 2 // 3

  def timed_frames(self) -> Iterator[tuple[float, np.ndarray]]:
    """Yields all frames, see `Original.timed_frames`; needs the frame rate."""
    for i in range(self.num_frames):
      yield i / self.fps, self._frame(i)

  def read(self, indices: Indices, window: Window) -> Frames:
    """Converts frames, see `sources.Video.read`."""
    frames_lib.check_window(window, self.height, self.width)
    return frames_lib.crop(map(self._frame, indices), window)

  def label(self, name: str, frame: int) -> int:
    """Raises `DataError`, as an array has no labels."""
    raise DataError(f"an array has no label {name!r}, nor at frame {frame}")

  def _frame(self, i: int) -> np.ndarray:
    """Frame `i`, uint8 [3·H/2, W]: Y, then U, then V."""
    rgb = np.ascontiguousarray(self._array[i])
    return self._normalize(av.VideoFrame.from_ndarray(rgb, "rgb24"))
