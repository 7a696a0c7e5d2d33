"""Which frames of a file are those of a video: all, or those of a part."""

import bisect
import dataclasses
import math

from av.container import InputContainer
from av.video.stream import VideoStream

from hdc_jax.data.video import containers
from hdc_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Part:
  """The frames of a file that are those of a video.

  Attributes:
    first: Number of frames of the file before them.
    num_frames: Number of frames.
    times: Presentation time of each in units of the stream's time base,
      increasing; empty where the times of the container cannot be trusted.
    keyframes: Presentation and decoding time of each keyframe of the file.
  """

  first: int
  num_frames: int
  times: list[int]
  keyframes: list[tuple[int, int]]


def find(
  container: InputContainer,
  stream: VideoStream,
  path: str,
  start: float = 0.0,
  end: float | None = None,
) -> Part:
  """Reads the packets of a file, up to the end of the video.

  Args:
    container: The container, of which nothing has been read yet.
    stream: Its video stream.
    path: Path of the file, for the messages.
    start: Where the video begins, in seconds after the first frame of the file.
    end: Where it ends, in seconds; None for the end of the file.

  Returns:
    The frames that are shown from `start` on and before `end`. Where the times
    of the container cannot be trusted, frame `i` is shown at `i / fps`.

  Raises:
    DataError: If the packets cannot be read, the file is cut off before `end`,
      or there is no such frame.
  """
  with containers.errors_named(path, "cannot be read"):
    packets = _read_packets(container, stream, path, end)
    unit, fps = float(stream.time_base or 1), containers.frame_rate(stream)
  if not packets:
    raise DataError(f"{path}: holds no frames")
  times = sorted({pts for pts, _, _ in packets if pts is not None})
  if not has_times(container) or len(times) < len(packets):
    times = []
    seconds = [i / fps for i in range(len(packets))]
  else:
    seconds = [(time - times[0]) * unit for time in times]
  first = bisect.bisect_left(seconds, start)
  stop = len(packets) if end is None else bisect.bisect_left(seconds, end)
  if first >= stop:
    where = f"from {start:g} s on"
    if end is not None:
      where = f"between {start:g} and {end:g} s"
    raise DataError(f"{path}: holds no frames {where}")
  return Part(
    first,
    stop - first,
    times[first:stop],
    # Matroska has no decoding times; FFmpeg's begin some frames late.
    [
      (pts, pts if dts is None else dts)
      for pts, dts, is_keyframe in packets
      if is_keyframe and pts is not None
    ],
  )


def has_times(container: InputContainer) -> bool:
  """Whether a container keeps the times at which its frames are shown.

  AVI does not, and FFmpeg's guess is wrong for the packed B-frames of much of
  UCF101.

  Args:
    container: The container.
  """
  return container.format.name != "avi"


def _read_packets(
  container: InputContainer, stream: VideoStream, path: str, end: float | None
) -> list[tuple[int | None, int | None, bool]]:
  """Reads the packets that hold frames.

  Returns:
    Presentation time, decoding time, and whether it is a keyframe, of each
    packet of the stream. Those at the end may be missing, if they are shown
    after the end of the video.
  """
  packets = []
  extent = containers.Extent(container, stream)
  last = math.inf
  if end is not None and has_times(container):
    last = end / float(stream.time_base or 1)
  for packet in container.demux():
    extent.add(packet)
    if packet.stream.index != stream.index:
      continue
    if packet.size and not packet.is_discard:
      packets.append((packet.pts, packet.dts, packet.is_keyframe))
      # No frame is decoded later than it is shown.
      zero, now = packets[0][0], packet.dts
      if zero is not None and now is not None and now - zero >= last:
        return packets
  extent.check(path, end)
  return packets
