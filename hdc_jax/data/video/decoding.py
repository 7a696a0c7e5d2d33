"""Decoding of the main video stream of one file, from its start or later."""

from collections.abc import Collection, Iterator
from fractions import Fraction

import av

from hdc_jax.data.video import containers, parts
from hdc_jax.data.video.parts import Part

# Codecs in which no frame refers to one that is not marked as a reference. In
# others, such as HEVC, frames of higher temporal layers may.
_SKIPPING = ("h264", "mpeg4")


class Decoder:
  """One video file, open for decoding.

  Attributes:
    path: The file, as messages name it.
    fps: Average frames per second, `containers.DEFAULT_FPS` where unknown.
    sample_aspect: Width of a stored pixel, divided by its height; None if
      unknown.
    interlaced: Whether one of the frames that were decoded is interlaced.
    has_times: Whether the container keeps the times at which frames are shown,
      see `parts.find`.
  """

  def __init__(self, path: str, local: str) -> None:
    """Opens the file.

    Args:
      path: The file, as messages name it.
      local: Where the file is on a disk.

    Raises:
      DataError: If the file cannot be opened or holds no video.
    """
    self.path, self._local = path, local
    self.interlaced = False
    self._open()
    with containers.errors_named(path, "cannot be read"):
      self.fps = containers.frame_rate(self._stream)
      self.sample_aspect: Fraction | None = self._stream.sample_aspect_ratio
      self.has_times = parts.has_times(self._container)

  def close(self) -> None:
    """Closes the file."""
    self._container.close()

  def find_part(self, start: float, end: float | None) -> Part:
    """Reads the packets of the file, see `parts.find`.

    Args:
      start: Where the video begins in the file, in seconds.
      end: Where it ends in the file, in seconds; None for the end of the file.

    Returns:
      The frames of the video.

    Raises:
      DataError: See `parts.find`.
    """
    self._begin()
    return parts.find(self._container, self._stream, self.path, start, end)

  def decode_all(self) -> Iterator[av.VideoFrame]:
    """Decodes from the first frame on.

    Yields:
      The frames, in order of presentation.

    Raises:
      DataError: If the stream breaks off, or ends before the length that the
        container claims; the frames before that are good.
    """
    self._begin()
    count = 0
    with containers.errors_named(
      self.path, lambda: f"stops after {count} frames"
    ):
      extent = containers.Extent(self._container, self._stream)
      for packet in self._container.demux():
        extent.add(packet)
        if packet.stream.index != self._stream.index:
          continue
        for frame in self._stream.decode(packet):
          self.interlaced |= frame.interlaced_frame
          yield frame
          count += 1
    extent.check(self.path)

  def decode_from(
    self, dts: int, wanted: Collection[int]
  ) -> Iterator[av.VideoFrame]:
    """Decodes from the keyframe at or before a time.

    Args:
      dts: The decoding time, in units of the stream's time base.
      wanted: Presentation times of the frames that are wanted, in these units.
        Others are left out where no frame refers to them.

    Yields:
      The frames, in order of presentation.

    Raises:
      DataError: If the container cannot seek, or a frame cannot be decoded.
    """
    self._at_start = False
    with containers.errors_named(self.path, "cannot be decoded"):
      self._container.seek(dts, stream=self._stream)
      context = self._stream.codec_context
      skips = context.name in _SKIPPING
      for packet in self._container.demux(self._stream):
        if skips:
          unwanted = packet.pts is not None and packet.pts not in wanted
          context.skip_frame = "NONREF" if unwanted else "DEFAULT"
        for frame in self._stream.decode(packet):
          self.interlaced |= frame.interlaced_frame
          yield frame

  def _open(self) -> None:
    self._container, self._stream = containers.open_video(
      self._local, self.path
    )
    self._at_start = True

  def _begin(self) -> None:
    """Goes to the first packet.

    The file is opened again for that where reading has begun already, since not
    all formats can seek.
    """
    if not self._at_start:
      self.close()
      self._open()
    self._at_start = False
