"""Containers of video files: which stream is the video, and how far it reaches.

What FFmpeg, PyAV or a strange file raises here or in a decoder is the fault of
that file: `errors_named` makes a `DataError` of it that names the file.

Choice: a file that is cut off is left out, whatever its container. A file is
cut off if its packets end before the length that its container claims, by more
than a twentieth of that length, four frames, or the longest time between two
frames. Containers that claim no length (MPEG-TS and MPEG-PS, raw streams, live
recordings) are taken for whole if they decode without an error.
"""

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from hdc_jax.data.video.normalize import UnusableFrameError
from hdc_jax.errors import DataError, HdcError

DEFAULT_FPS = 25.0  # Frames per second of streams that do not say theirs.

# PyAV before version 19 refuses metadata that are not UTF-8 unless told so;
# later ones always read them, and have no such argument.
_OPEN_ARGUMENTS: dict[str, Any] = (
  {}
  if int(av.__version__.split(".")[0]) >= 19
  else {"metadata_errors": "replace"}
)

# FFmpeg's formats of single pictures, and of text that it draws.
_NO_VIDEO = re.compile(r".*_pipe|image2|ico|tty|bin|xbin|adf|idf|lrc|srt")

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails


def open_video(local: str, path: str) -> tuple[InputContainer, VideoStream]:
  """Opens a file and chooses its main video stream.

  Args:
    local: Where the file is on a disk.
    path: Path of the file, for the messages.

  Returns:
    The container, which the caller closes, and the stream. Its decoder uses
    one thread.

  Raises:
    DataError: If the file cannot be opened, or holds no video. Cover art is no
      video.
  """
  with errors_named(path, "cannot be opened"):
    container: InputContainer = av.open(local, **_OPEN_ARGUMENTS)
    try:
      if _NO_VIDEO.fullmatch(container.format.name):
        raise DataError(f"{path}: has no video stream, it is a picture or text")
      stream = _main_stream(container, path)
      stream.codec_context.thread_count = 1
    except BaseException:
      container.close()
      raise
  return container, stream


def _main_stream(container: InputContainer, path: str) -> VideoStream:
  """The stream that a player would show."""
  streams = container.streams.video
  videos = [s for s in streams if not s.disposition & _PICTURES]
  if not videos:
    only = ", only cover art" if streams else ""
    raise DataError(f"{path}: has no video stream{only}")
  best = container.streams.best("video")
  return next((s for s in videos if s is best), videos[0])


def frame_rate(stream: VideoStream) -> float:
  """Average frames per second, `DEFAULT_FPS` where the file does not say it.

  Args:
    stream: The video stream.
  """
  rate = stream.average_rate
  return float(rate) if rate is not None and rate > 0 else DEFAULT_FPS


@contextlib.contextmanager
def errors_named(path: str, failure: str | Callable[[], str]) -> Iterator[None]:
  """Turns every error but our own into a `DataError` that names the file.

  Args:
    path: Path of the file.
    failure: What failed, such as 'cannot be read'; or a function that tells.
  """
  try:
    yield
  except HdcError:
    raise
  except Exception as error:
    text = failure() if callable(failure) else failure
    reason = getattr(error, "strerror", None) or str(error)
    if not isinstance(error, (av.FFmpegError, UnusableFrameError)):
      reason = f"{type(error).__name__}: {reason}"
    raise DataError(f"{path}: {text}: {reason}") from error


class Extent:
  """How far the packets of a file reach, and how far they should."""

  def __init__(self, container: InputContainer, stream: VideoStream) -> None:
    """Reads the length that the container claims.

    Args:
      container: The open container.
      stream: Its video stream.
    """
    self._stream = stream
    claims = _CLAIMS.get(container.format.name)
    claim = claims(container, stream) if claims else None
    self._claim = math.inf if claim is None or claim <= 0 else claim
    # The audio may be longer than the video. A length that is not that of the
    # video alone is reached when any stream reaches it.
    self._video_alone = claims in _CLAIMS_OF_VIDEO
    self._begin, self._end = math.inf, -math.inf
    self._frames, self._last, self._gap = 0, math.inf, 0.0

  def add(self, packet: av.Packet) -> None:
    """Takes note of a packet; all have to be given, in the order of the file.

    Args:
      packet: A packet of any stream.
    """
    is_video = packet.stream.index == self._stream.index
    self._frames += is_video and packet.size > 0
    time = packet.dts if packet.pts is None else packet.pts
    if time is None or packet.time_base is None:
      return
    if not is_video and self._video_alone:
      return
    unit = float(packet.time_base)
    self._begin = min(self._begin, time * unit)
    self._end = max(self._end, (time + (packet.duration or 0)) * unit)
    if is_video and packet.dts is not None:
      self._gap = max(self._gap, packet.dts * unit - self._last)
      self._last = packet.dts * unit

  def check(self, path: str, end: float | None = None) -> None:
    """Checks that a file that was read to its end is not cut off.

    Args:
      path: Path of the file, for the message.
      end: Time in seconds at which the part that matters ends; None for the
        whole file.

    Raises:
      DataError: If the file is cut off before.
    """
    if math.isinf(self._claim):
      return
    claim = self._claim if end is None else min(self._claim, end)
    reached = max(0.0, self._end, self._end - self._begin)
    if not math.isfinite(reached):
      reached = 0.0
    tolerance = max(claim / 20, 4 / frame_rate(self._stream), self._gap)
    if reached < claim - tolerance:
      raise DataError(
        f"{path}: is cut off: ends after {reached:.1f} of {self._claim:.1f} s "
        f"({self._frames} frames)"
      )


def _stream_duration(_: InputContainer, stream: VideoStream) -> float | None:
  """Seconds of the video stream, as its index states."""
  if stream.duration is None or stream.time_base is None:
    return None
  return float(stream.duration * stream.time_base)


def _stream_frames(_: InputContainer, stream: VideoStream) -> float | None:
  """Seconds of the video stream, as the number of frames in its header."""
  return float(stream.frames * (stream.time_base or Fraction(0)))


def _container_duration(
  container: InputContainer, _: VideoStream
) -> float | None:
  """Seconds of the longest stream, as the header states."""
  duration = container.duration
  return None if duration is None else duration / av.time_base


# How the containers that claim a length do so; FFmpeg estimates it for others.
# It cuts the duration of an AVI that is cut off, but not the number of frames.
_CLAIMS: dict[str, Callable[[InputContainer, VideoStream], float | None]] = {
  "mov,mp4,m4a,3gp,3g2,mj2": _stream_duration,
  "avi": _stream_frames,
  "matroska,webm": _container_duration,
  "flv": _container_duration,
  "asf": _container_duration,
}
_CLAIMS_OF_VIDEO = (_stream_duration, _stream_frames)
