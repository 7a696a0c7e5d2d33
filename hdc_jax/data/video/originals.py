"""Original video files, as upright 8-bit frames of one size and colour space.

Every format that FFmpeg reads comes out the same way: the picture as a player
shows it (the display matrix applied), its short side scaled to a given length,
as planar YUV 4:2:0 in BT.601 limited range. `codec.encode` stores these frames,
and `sources` serves them when a folder of videos is used without preparing it,
so both give the same pixels.

Frame `i` is the `i`-th frame that the decoder gives, whatever its timestamp.

Choice: pixels count as square. Published datasets are often squeezed to 340×256
and note the aspect ratio in the file; the field trains on the squeezed picture.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from hdc_jax.data.video.normalize import Normalizer, UnknownMatrixError
from hdc_jax.errors import DataError
from hdc_jax.runtime import files

DEFAULT_FPS = 25.0  # Frames per second of streams that do not say theirs.

# PyAV before version 19 refuses metadata that are not UTF-8 unless told so;
# later ones always read them, and have no such argument.
_OPEN_ARGUMENTS: dict[str, Any] = (
  {}
  if int(av.__version__.split(".")[0]) >= 19
  else {"metadata_errors": "replace"}
)


class Probe(NamedTuple):
  """Number, rate and size of the frames of a video file.

  Attributes:
    num_frames: Number of packets in the container, each of which should give a
      frame.
    fps: Average frames per second, `DEFAULT_FPS` where unknown.
    height: Height of the upright, scaled frames in pixels; even.
    width: Width of the upright, scaled frames in pixels; even.
  """

  num_frames: int
  fps: float
  height: int
  width: int


class Original:
  """One video file, open for reading; a context manager.

  Every error of FFmpeg is raised as a `DataError` that names the file.

  Attributes:
    path: The file.

  Example:
    ```
    with Original("video.mp4", short_side=128) as original:
      for frame in original.frames():
        ...
    ```
  """

  def __init__(self, path: str, short_side: int) -> None:
    """Opens the file and finds its main video stream.

    Args:
      path: A video file in any format that FFmpeg reads. An object in a bucket
        is copied to the disk for as long as it is open.
      short_side: Short side of the frames to return, in pixels; even.

    Raises:
      DataError: If the file cannot be opened or holds no video.
      StorageError: If a bucket fails.
    """
    self.path = path
    self._local_copy = contextlib.ExitStack()
    try:
      self._local = self._local_copy.enter_context(files.reading(path))
    except FileNotFoundError as error:
      reason = f"cannot be opened: {error.strerror}"
      raise DataError(f"{path}: {reason}") from error
    self._normalize = Normalizer(short_side)
    # Presentation time of each frame, and presentation and decoding time of
    # each keyframe, in units of the stream's time base. `probe` fills them
    # where the times of the container can be trusted.
    self._times: list[int] = []
    self._keyframes: list[tuple[int, int]] = []
    self._open()

  def close(self) -> None:
    """Closes the file."""
    self._container.close()
    self._local_copy.close()

  def __enter__(self) -> "Original":
    """Returns itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Closes the file."""
    self.close()

  @property
  def fps(self) -> float:
    """Average frames per second."""
    return float(self._stream.average_rate or DEFAULT_FPS)

  def frames(self) -> Iterator[np.ndarray]:
    """Decodes all frames from the first, in order.

    Yields:
      Each frame, uint8 `[3·H/2, W]`: Y, then U, then V, as in FFmpeg's yuv420p.

    Raises:
      DataError: If the stream breaks off; the frames before that are good.
    """
    for frame in self._decode_all():
      yield self._normalized(frame)

  def probe(self) -> Probe:
    """Reads the whole container once, but decodes a single frame.

    Returns:
      The number, rate and size of the frames.

    Raises:
      DataError: If nothing can be decoded.
    """
    self._at_start = False
    with self._errors_named("cannot be read"):
      packets = [
        (packet.pts, packet.dts, packet.is_keyframe)
        for packet in self._container.demux(self._stream)
        if packet.size and not packet.is_discard
      ]
    first = next(self._decode_all(), None)
    if first is None or not packets:
      raise DataError(f"{self.path}: holds no frames")
    timed = [
      (pts, dts, is_keyframe)
      for pts, dts, is_keyframe in packets
      if pts is not None and dts is not None
    ]
    times = sorted({pts for pts, _, _ in timed})
    # AVI keeps no presentation times, and FFmpeg's guess is wrong for the
    # packed B-frames of much of UCF101.
    if self._container.format.name != "avi" and len(times) == len(packets):
      self._times = times
      self._keyframes = [
        (pts, dts) for pts, dts, is_keyframe in timed if is_keyframe
      ]
    rows, width = self._normalized(first).shape
    return Probe(len(packets), self.fps, rows * 2 // 3, width)

  def read(self, indices: Sequence[int]) -> dict[int, np.ndarray]:
    """Decodes chosen frames; call `probe` before.

    Decoding begins at the nearest keyframe if the format can seek, else at the
    first frame.

    Args:
      indices: Indices of frames, increasing, without repeats.

    Returns:
      The frame of each index, uint8 `[3·H/2, W]` as in `frames`.

    Raises:
      DataError: If one of the frames cannot be decoded.
    """
    frames = None
    if self._times:
      with contextlib.suppress(DataError):  # Some formats cannot seek.
        frames = self._read_by_time(indices)
    if frames is None:
      frames = self._read_by_count(indices)
    if len(frames) < len(indices):
      raise DataError(
        f"{self.path}: frame {min(set(indices) - set(frames))} cannot be "
        "decoded; prepare the dataset, which leaves damaged videos out"
      )
    return frames

  def _read_by_count(self, indices: Sequence[int]) -> dict[int, np.ndarray]:
    """Decodes from the first frame on and counts."""
    wanted, frames = set(indices), {}
    for i, frame in enumerate(self._decode_all()):
      if i in wanted:
        frames[i] = self._normalized(frame)
      if len(frames) == len(wanted):
        break
    return frames

  def _read_by_time(
    self, indices: Sequence[int]
  ) -> dict[int, np.ndarray] | None:
    """Seeks and decodes from the nearest keyframe on.

    Returns:
      The frame of each index; None if the presentation times of the decoded
      frames are not those that `probe` has read.
    """
    index_at = {self._times[i]: i for i in indices}
    first, last = min(index_at), max(index_at)
    entries = [dts for pts, dts in self._keyframes if pts <= first]
    if not entries:
      return None
    frames: dict[int, np.ndarray] = {}
    previous = None
    for frame in self._decode_from(entries[-1]):
      time = frame.pts
      if time is None:
        return None
      too_late = previous is None and time > first
      out_of_order = previous is not None and time <= previous
      if too_late or out_of_order:
        return None
      previous = time
      if time in index_at:
        frames[index_at[time]] = self._normalized(frame)
      if time >= last:
        break
    return frames if len(frames) == len(index_at) else None

  def _open(self) -> None:
    with self._errors_named("cannot be opened"):
      self._container: InputContainer = av.open(self._local, **_OPEN_ARGUMENTS)
    stream = self._container.streams.best("video")
    if not isinstance(stream, VideoStream):
      self.close()
      raise DataError(f"{self.path}: has no video stream")
    self._stream = stream
    self._stream.codec_context.thread_count = 1
    self._at_start = True

  def _decode_all(self) -> Iterator[av.VideoFrame]:
    """Decodes from the first frame on.

    The file is opened again for that where decoding has begun already, since
    not all formats can seek.
    """
    if not self._at_start:
      self._container.close()
      self._open()
    self._at_start = False
    count = 0
    with self._errors_named(lambda: f"stops after {count} frames"):
      for frame in self._container.decode(self._stream):
        yield frame
        count += 1

  def _decode_from(self, dts: int) -> Iterator[av.VideoFrame]:
    """Decodes from the keyframe at or before a decoding time."""
    self._at_start = False
    with self._errors_named("cannot be decoded"):
      self._container.seek(dts, stream=self._stream)
      yield from self._container.decode(self._stream)

  def _normalized(self, frame: av.VideoFrame) -> np.ndarray:
    with self._errors_named("cannot be converted"):
      return self._normalize(frame)

  @contextlib.contextmanager
  def _errors_named(self, failure: str | Callable[[], str]) -> Iterator[None]:
    """Turns errors of FFmpeg into a `DataError` that names the file.

    Args:
      failure: What failed, such as 'cannot be read'; or a function that tells.
    """
    try:
      yield
    except (av.FFmpegError, UnknownMatrixError) as error:
      text = failure() if callable(failure) else failure
      reason = getattr(error, "strerror", None) or error
      raise DataError(f"{self.path}: {text}: {reason}") from error
