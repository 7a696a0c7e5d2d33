"""Original video files, as upright 8-bit frames of one size and colour space.

Every format that FFmpeg reads comes out the same way: the picture as a player
shows it (the display matrix and the sample aspect ratio applied), its short
side scaled to a given length, as planar YUV 4:2:0 in BT.601 limited range.
`codec.encode` stores these frames, and `sources` serves them when a folder of
videos is used without preparing it, so both give the same pixels.

Frame `i` is the `i`-th frame that the decoder gives, whatever its timestamp. A
video may be a part of its file: the frames that are shown from `start` on and
before `end`, in seconds after the first frame of the file. Where a container
keeps no times that can be trusted, frame `i` is shown at `i / fps`.
"""

import collections
import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import av
import numpy as np

from hdc_jax.data.video.containers import errors_named
from hdc_jax.data.video.decoding import Decoder
from hdc_jax.data.video.deinterlacing import deinterlaced
from hdc_jax.data.video.normalize import Normalizer
from hdc_jax.data.video.parts import Part
from hdc_jax.errors import DataError
from hdc_jax.runtime import files

# Raise this number when frames change that were read before. 2: square pixels.
VERSION = 2


class Probe(NamedTuple):
  """What reading the container of a video tells.

  Attributes:
    num_frames: Number of packets in the container, each of which should give a
      frame.
    fps: Average frames per second, `containers.DEFAULT_FPS` where unknown.
    height: Height of the upright, scaled frames in pixels; even.
    width: Width of the upright, scaled frames in pixels; even.
    part: Where its frames are in the file.
  """

  num_frames: int
  fps: float
  height: int
  width: int
  part: Part


class Picture(NamedTuple):
  """The pictures of a video before they are scaled.

  Attributes:
    width: Width of the upright pictures with square pixels, in pixels.
    height: Their height in pixels.
    interlaced: Whether some of the frames are interlaced.
  """

  width: int
  height: int
  interlaced: bool


class Original:
  """One video file, open for reading; a context manager.

  Whatever a decoder or a strange file raises is raised as a `DataError` that
  names the file.

  Attributes:
    path: The file.
    fps: Average frames per second.

  Example:
    ```
    with Original("video.mp4", short_side=128) as original:
      for frame in original.frames():
        ...
    ```
  """

  def __init__(
    self,
    path: str,
    short_side: int,
    *,
    start: float = 0.0,
    end: float | None = None,
    deinterlace: bool = False,
    part: Part | None = None,
  ) -> None:
    """Opens the file and finds its main video stream.

    Args:
      path: A video file in any format that FFmpeg reads. An object in a bucket
        is copied to the disk for as long as it is open.
      short_side: Short side of the frames to return, in pixels; even.
      start: Where the video begins in the file, in seconds.
      end: Where it ends in the file, in seconds; None for the end of the file.
      deinterlace: Whether `frames` deinterlaces the frames that are interlaced.
      part: Where the frames are, if the file was probed before.

    Raises:
      DataError: If the file cannot be opened or holds no video.
      StorageError: If a bucket fails.
    """
    self.path = path
    self._start, self._end = start, end
    self._deinterlace = deinterlace
    self._part = part  # Or else `probe` finds it.
    self._local_copy = contextlib.ExitStack()
    try:
      local = self._local_copy.enter_context(files.reading(path))
    except FileNotFoundError as error:
      reason = f"cannot be opened: {error.strerror}"
      raise DataError(f"{path}: {reason}") from error
    self._decoder = Decoder(path, local)
    self.fps = self._decoder.fps
    with errors_named(path, "cannot be read"):
      self._normalize = Normalizer(short_side, self._decoder.sample_aspect)

  def close(self) -> None:
    """Closes the file."""
    self._decoder.close()
    self._local_copy.close()

  def __enter__(self) -> "Original":
    """Returns itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Closes the file."""
    self.close()

  @property
  def picture(self) -> Picture:
    """What the frames that were read so far looked like before scaling."""
    assert self._normalize.upright_size, "a frame has been read"
    return Picture(*self._normalize.upright_size, self._decoder.interlaced)

  def frames(self) -> Iterator[np.ndarray]:
    """Decodes all frames from the first, in order.

    Yields:
      Each frame, uint8 `[3·H/2, W]`: Y, then U, then V, as in FFmpeg's yuv420p.

    Raises:
      DataError: If the stream breaks off, or ends before the length that the
        container claims, or has no frame between `start` and `end`. The frames
        before that are good.
    """
    whole = self._start <= 0 and self._end is None
    frames = self._decoder.decode_all() if whole else self._decode_part()
    if self._deinterlace:
      frames = self._deinterlaced(frames)
    yield from map(self._normalized, frames)

  def timed_frames(self) -> Iterator[tuple[float, np.ndarray]]:
    """Decodes all frames from the first, in order, with their times.

    Yields:
      The time at which a frame is shown, in seconds after the first; where the
      container keeps no times that can be trusted, that of its number by the
      frame rate. And the frame, as in `frames`.

    Raises:
      DataError: See `frames`.
    """
    first: float | None = None
    for i, frame in enumerate(self._decoder.decode_all()):
      if i == 0 and self._decoder.has_times:
        first = frame.time
      known = first is not None and frame.time is not None
      time = frame.time - first if known else i / self.fps
      yield time, self._normalized(frame)

  def probe(self) -> Probe:
    """Reads the container, up to the end of the video, but decodes one frame.

    Returns:
      The number, rate and size of the frames.

    Raises:
      DataError: If nothing can be decoded, the file is cut off, or has no frame
        between `start` and `end`.
    """
    self._part = part = self._decoder.find_part(self._start, self._end)
    first = next(self._decoder.decode_all(), None)
    if first is None:
      raise DataError(f"{self.path}: holds no frames")
    rows, width = self._normalized(first).shape
    return Probe(part.num_frames, self.fps, rows * 2 // 3, width, part)

  def read(self, indices: Sequence[int]) -> dict[int, np.ndarray]:
    """Decodes chosen frames; call `probe` before, or give its `part`.

    Decoding begins at the nearest keyframe if the format can seek, else at the
    first frame.

    Args:
      indices: Indices of frames, increasing, without repeats.

    Returns:
      The frame of each index, uint8 `[3·H/2, W]` as in `frames`.

    Raises:
      DataError: If one of the frames cannot be decoded.
    """
    chosen = map(self._normalized, self._choose(indices))
    frames = dict(zip(indices, chosen, strict=False))
    if len(frames) < len(indices):
      raise DataError(
        f"{self.path}: frame {indices[len(frames)]} cannot be decoded; prepare "
        "the dataset, which leaves damaged videos out"
      )
    return frames

  def _decode_part(self) -> Iterator[av.VideoFrame]:
    """Decodes the frames between `start` and `end`."""
    num_frames = self.probe().num_frames
    count = 0
    for frame in self._choose(range(num_frames)):
      yield frame
      count += 1
    if count < num_frames:
      raise DataError(f"{self.path}: stops after {count} frames")

  def _choose(self, indices: Sequence[int]) -> Iterator[av.VideoFrame]:
    """Decodes chosen frames of the part, as many as can be decoded."""
    assert self._part is not None, "`probe` has been called"
    count = 0
    if self._part.times:
      with contextlib.suppress(DataError):  # Some formats cannot seek.
        for frame in self._choose_by_time(self._part, indices):
          yield frame
          count += 1
    rest = collections.deque(self._part.first + i for i in indices[count:])
    if not rest:
      return
    for i, frame in enumerate(self._decoder.decode_all()):
      if i == rest[0]:
        yield frame
        rest.popleft()
      if not rest:
        return

  def _choose_by_time(
    self, part: Part, indices: Sequence[int]
  ) -> Iterator[av.VideoFrame]:
    """Seeks and decodes from the nearest keyframe on.

    Ends early if the presentation times of the decoded frames are not those
    that `probe` has read.
    """
    wanted = [part.times[i] for i in reversed(indices)]
    entries = [dts for pts, dts in part.keyframes if pts <= wanted[-1]]
    if not entries:
      return
    previous = None
    for frame in self._decoder.decode_from(entries[-1], set(wanted)):
      time = frame.pts
      if time is None or time > wanted[-1]:  # too late, or one is missing
        return
      if previous is not None and time <= previous:
        return
      previous = time
      if time == wanted[-1]:
        yield frame
        wanted.pop()
      if not wanted:
        return

  def _normalized(self, frame: av.VideoFrame) -> np.ndarray:
    with errors_named(self.path, "cannot be converted"):
      return self._normalize(frame)

  def _deinterlaced(
    self, frames: Iterator[av.VideoFrame]
  ) -> Iterator[av.VideoFrame]:
    with errors_named(self.path, "cannot be deinterlaced"):
      yield from deinterlaced(frames)
