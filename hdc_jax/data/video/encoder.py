"""Frames to packets of H.264, without a container."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from av.codec.context import Flags

_YUV = "yuv420p"  # Format of the pixels.
GOP = 16  # Number of frames from one keyframe to the next.
# Raise this number when the options below change and packets with them.
ENCODER_VERSION = 3

# Choice: measured on real clips at short side 128, for training rather than for
# viewing (benchmarks/NOTES.md has the figures):
# - 'veryfast' with crf 21 keeps every clip at 38 dB or more; 'medium' with crf
#   22 takes more than twice as long for the same PSNR, and 10 % fewer bytes;
# - 'psnr' spends the bits on fidelity, not on grain that looks sharp: 15 %
#   fewer bytes at the same PSNR;
# - without CABAC and the deblocking filter the decoder, which is what limits a
#   host, takes half the time, for 5 % more bytes;
# - three of four frames are B-frames that no other frame refers to, so that
#   they are not decoded where a clip does not show them: 0.9 of the time at
#   stride 1, 0.8 at 2 and 0.7 at 4, for 8 % fewer bytes;
# - weighted prediction brings nothing here.
# One thread and no CPU-dependent choices give the same bytes on any machine.
OPTIONS = {
  "preset": "veryfast",
  "tune": "psnr",
  "crf": "21",
  "x264-params": ":".join(
    (
      f"keyint={GOP}:min-keyint={GOP}:scenecut=0:open-gop=0",
      "bframes=3:b-adapt=0:b-pyramid=none:weightb=0:weightp=0",
      "cabac=0:no-deblock=1",
      "threads=1:cpu-independent=1",
    )
  ),
}


class Packet(NamedTuple):
  """A frame as the encoder gives it.

  Attributes:
    data: The bytes.
    is_keyframe: Whether decoding can begin with it.
    is_disposable: Whether no other frame is decoded from it.
  """

  data: bytes
  is_keyframe: bool
  is_disposable: bool


class Encoder:
  """Encodes one video in closed groups of `GOP` frames.

  Attributes:
    extradata: The parameter sets of the video (Annex B).
  """

  def __init__(self, height: int, width: int) -> None:
    """Opens the encoder.

    Args:
      height: Height of the frames in pixels; even.
      width: Width of the frames in pixels; even.
    """
    self._context = context = av.CodecContext.create("libx264", "w")
    context.height, context.width, context.pix_fmt = height, width, _YUV
    # The frame rate is not that of the video. The rate control spends fewer
    # bits on frames that are shown for a shorter time; for training, all frames
    # count alike.
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.thread_count = 1
    # The parameter sets are stored once, in extradata, instead of in front of
    # each keyframe.
    context.flags |= Flags.global_header
    context.options = dict(OPTIONS)
    context.open()
    extradata = context.extradata
    assert extradata is not None, "global_header makes x264 fill the extradata"
    self.extradata = bytes(extradata)

  def packets(self, frames: Iterable[np.ndarray]) -> Iterator[Packet]:
    """Encodes all frames of the video; call it once.

    Args:
      frames: The frames in order, each uint8 `[3·H/2, W]` in yuv420p.

    Yields:
      The packet of each frame, in the order in which they are decoded, see
      `h264.shown_at`.
    """
    for i, array in enumerate(frames):
      frame = av.VideoFrame.from_ndarray(array, _YUV)
      frame.pts = i
      yield from map(_packet, self._context.encode(frame))
    yield from map(_packet, self._context.encode(None))


def _packet(packet: av.Packet) -> Packet:
  """Reads from the bytes of a packet whether its frame is disposable."""
  data = bytes(packet)
  heads = [unit[0] for unit in data.split(b"\0\0\1")[1:]]
  # The type of a unit is in its last five bits, of which 1 to 5 are slices, and
  # the two before are 0 where no other frame refers to it (7.3.1 of H.264).
  slices = [head for head in heads if 1 <= head & 31 <= 5]
  return Packet(data, packet.is_keyframe, not any(h & 96 for h in slices))
