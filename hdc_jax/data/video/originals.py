"""Original video files, as upright 8-bit frames of one size and colour space.

Whatever FFmpeg reads comes out the same way: the picture as a player shows it
(the display matrix applied), its short side scaled to a given length, as planar
YUV 4:2:0 in BT.601 limited range. `codec.encode` stores these frames, and
`sources` serves them when a folder of videos is used without preparing it, so
both see the same pixels.

Frame `i` is the `i`-th frame the decoder puts out, whatever its timestamp says.
Pixels count as square: published datasets are often squeezed to 340×256 with
the shape noted beside them, and the field has always trained on the squeezed
picture.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from hdc_jax.data.video.normalize import Normalizer, UnknownMatrixError
from hdc_jax.errors import DataError
from hdc_jax.runtime import files

DEFAULT_FPS = 25.0  # of streams that do not say

# PyAV before version 19 refuses metadata that are not UTF-8 unless told so;
# later ones always read them, and have no such argument.
_OPEN_ARGUMENTS = (
  {}
  if int(av.__version__.split(".")[0]) >= 19
  else {"metadata_errors": "replace"}
)


class Probe(NamedTuple):
  """What a video will look like once read.

  Attributes:
    num_frames: as many as the container holds packets.
    fps: average frames per second, `DEFAULT_FPS` where unknown.
    height: of the upright, scaled frames; even.
    width: of the upright, scaled frames; even.
  """

  num_frames: int
  fps: float
  height: int
  width: int


class Original:
  """One video file, open for reading; a context manager.

  Every error of FFmpeg comes out as a `DataError` that names the file.
  """

  def __init__(self, path: str, short_side: int) -> None:
    """Opens the file and finds its main video stream.

    Args:
      path: of a file in any format FFmpeg reads. An object in a bucket is
        copied for as long as it is open.
      short_side: of the frames to be, in pixels; even.

    Raises:
      DataError: if it cannot be opened or holds no video.
      StorageError: if a bucket fails.
    """
    self.path = path
    self._copy = contextlib.ExitStack()
    try:
      self._local = self._copy.enter_context(files.reading(path))
    except FileNotFoundError as error:
      reason = f"cannot be opened: {error.strerror}"
      raise DataError(f"{path}: {reason}") from error
    self._to_upright = Normalizer(short_side)
    # When each frame is shown, by its number, and when each keyframe is shown
    # and decoded; filled by `probe` where the container's times can be trusted.
    self._times: list[int] = []
    self._keyframes: list[tuple[int, int]] = []
    self._open()

  def close(self) -> None:
    """Closes the file."""
    self._container.close()
    self._copy.close()

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
    """Yields all frames from the first, in order.

    Yields:
      uint8 `[3·H/2, W]`: Y, then U, then V, as FFmpeg's yuv420p.

    Raises:
      DataError: if the stream breaks off; what was yielded before is good.
    """
    for frame in self._decode_all():
      yield self._upright(frame)

  def probe(self) -> Probe:
    """Reads the container once, without decoding more than one frame.

    Returns:
      The number, rate and size of the frames.

    Raises:
      DataError: if nothing can be decoded.
    """
    self._at_start = False
    with self._named("cannot be read"):
      packets = [
        (packet.pts, packet.dts, packet.is_keyframe)
        for packet in self._container.demux(self._stream)
        if packet.size and not packet.is_discard
      ]
    first = next(self._decode_all(), None)
    if first is None or not packets:
      raise DataError(f"{self.path}: holds no frames")
    times = sorted({pts for pts, dts, _ in packets if None not in (pts, dts)})
    # AVI keeps no presentation times, and FFmpeg's guess is wrong for the
    # packed B-frames of much of UCF101.
    if self._container.format.name != "avi" and len(times) == len(packets):
      self._times = times
      self._keyframes = [(pts, dts) for pts, dts, key in packets if key]
    rows, width = self._upright(first).shape
    return Probe(len(packets), self.fps, rows * 2 // 3, width)

  def read(self, indices: Sequence[int]) -> dict[int, np.ndarray]:
    """Decodes chosen frames, from the nearest keyframe where it can seek.

    Args:
      indices: of frames, increasing, without repeats; after `probe`.

    Returns:
      The frame of each index, uint8 `[3·H/2, W]` as in `frames`.

    Raises:
      DataError: if one of them cannot be decoded.
    """
    found = None
    if self._times:
      with contextlib.suppress(DataError):  # some formats do not seek
        found = self._read_by_time(indices)
    if found is None:
      found = self._read_by_count(indices)
    if len(found) < len(indices):
      raise DataError(
        f"{self.path}: frame {min(set(indices) - set(found))} cannot be "
        "decoded; prepare the dataset to leave out what is damaged"
      )
    return found

  def _read_by_count(self, indices: Sequence[int]) -> dict[int, np.ndarray]:
    """Decodes all from the first frame on."""
    wanted, found = set(indices), {}
    for i, frame in enumerate(self._decode_all()):
      if i in wanted:
        found[i] = self._upright(frame)
      if len(found) == len(wanted):
        break
    return found

  def _read_by_time(
    self, indices: Sequence[int]
  ) -> dict[int, np.ndarray] | None:
    """Seeks first; None if the decoded times contradict the container's."""
    number_of = {self._times[i]: i for i in indices}
    first, last = min(number_of), max(number_of)
    entries = [dts for pts, dts in self._keyframes if pts <= first]
    if not entries:
      return None
    found: dict[int, np.ndarray] = {}
    previous = None
    for frame in self._decode_from(entries[-1]):
      late = frame.pts is None or (previous is None and frame.pts > first)
      if late or (previous is not None and frame.pts <= previous):
        return None
      previous = frame.pts
      if frame.pts in number_of:
        found[number_of[frame.pts]] = self._upright(frame)
      if frame.pts >= last:
        break
    return found if len(found) == len(number_of) else None

  def _open(self) -> None:
    with self._named("cannot be opened"):
      self._container: InputContainer = av.open(self._local, **_OPEN_ARGUMENTS)
    stream = self._container.streams.best("video")
    if stream is None:
      self.close()
      raise DataError(f"{self.path}: has no video stream")
    self._stream: VideoStream = stream
    self._stream.codec_context.thread_count = 1
    self._at_start = True

  def _decode_all(self) -> Iterator[av.VideoFrame]:
    """Decodes from the first frame; opens again, as not all formats seek."""
    if not self._at_start:
      self._container.close()
      self._open()
    self._at_start = False
    count = 0
    with self._named(lambda: f"stops after {count} frames"):
      for frame in self._container.decode(self._stream):
        yield frame
        count += 1

  def _decode_from(self, dts: int) -> Iterator[av.VideoFrame]:
    """Decodes from the keyframe at or before a decoding time."""
    self._at_start = False
    with self._named("cannot be decoded"):
      self._container.seek(dts, stream=self._stream)
      yield from self._container.decode(self._stream)

  def _upright(self, frame: av.VideoFrame) -> np.ndarray:
    with self._named("cannot be converted"):
      return self._to_upright(frame)

  @contextlib.contextmanager
  def _named(self, what: str | Callable[[], str]) -> Iterator[None]:
    """Turns what FFmpeg raises into a `DataError` on this file."""
    try:
      yield
    except (av.FFmpegError, UnknownMatrixError) as error:
      doing = what() if callable(what) else what
      reason = getattr(error, "strerror", None) or error
      raise DataError(f"{self.path}: {doing}: {reason}") from error
