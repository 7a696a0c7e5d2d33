"""H.264 without a container: frames to packets, packets to chosen frames."""

import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags

from hdc_jax.errors import DataError

GOP = 16  # frames from one keyframe to the next
ENCODER_VERSION = 1  # of the choices below; others give other bytes

# Chosen on real clips at short side 128, for training rather than for viewing:
# - crf 22 keeps every clip at 38 dB or more (0.3 to 1.6 KB a frame);
# - 'psnr' spends the bits on fidelity, not on grain that looks sharp: 15 %
#   fewer bytes at the same PSNR;
# - without CABAC and the deblocking filter the decoder, which is what limits a
#   host, takes half the time, for 5 % more bytes.
# One thread and no CPU-dependent choices: the same bytes on any machine.
_OPTIONS = {
  "preset": "medium",
  "tune": "psnr",
  "crf": "22",
  "x264-params": ":".join(
    (
      f"keyint={GOP}:min-keyint={GOP}:scenecut=0:open-gop=0:bframes=0",
      "cabac=0:no-deblock=1",
      "threads=1:cpu-independent=1",
    )
  ),
}

_PADDING = bytes(64)  # decoders may read this far past a packet's end


class Encoder:
  """Frames in, packets out; no B-frames, closed groups of `GOP`.

  Attributes:
    extradata: the parameter sets, Annex B.
  """

  def __init__(self, height: int, width: int) -> None:
    """Opens the encoder.

    Args:
      height: of the frames, even.
      width: of the frames, even.
    """
    self._context = context = av.CodecContext.create("libx264", "w")
    context.height, context.width, context.pix_fmt = height, width, "yuv420p"
    # Not the video's rate: the rate control spends fewer bits on a frame that
    # is shown for a shorter time, and training does not.
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.thread_count = 1
    # Parameter sets once, in extradata, instead of before each keyframe.
    context.flags |= Flags.global_header
    context.options = dict(_OPTIONS)
    context.open()
    self.extradata = bytes(context.extradata)

  def packets(
    self, frames: Iterable[np.ndarray]
  ) -> Iterator[tuple[bytes, bool]]:
    """Encodes a video.

    Args:
      frames: each uint8 `[3·H/2, W]`, yuv420p.

    Yields:
      One packet for each frame, in order, and whether it is a keyframe.
    """
    for number, array in enumerate(frames):
      frame = av.VideoFrame.from_ndarray(array, "yuv420p")
      frame.pts = number
      yield from _bytes_of(self._context.encode(frame))
    yield from _bytes_of(self._context.encode(None))


def _bytes_of(packets: Iterable[av.Packet]) -> Iterator[tuple[bytes, bool]]:
  return ((bytes(packet), packet.is_keyframe) for packet in packets)


def decode(
  extradata: bytes,
  packets: bytes,
  offsets: np.ndarray,
  keyframes: np.ndarray,
  wanted: np.ndarray,
) -> Iterator[list[np.ndarray]]:
  """Decodes chosen frames, each from the last keyframe at or before it.

  No frame is decoded twice, and stretches between keyframes that hold no wanted
  frame are passed over.

  Args:
    extradata: parameter sets, Annex B.
    packets: one for each frame, concatenated.
    offsets: int64 `[N + 1]`, where each packet begins and the last ends.
    keyframes: bool `[N]`, the first one true.
    wanted: int64, increasing, without repeats.

  Yields:
    For each wanted frame the planes Y, U and V: views, at least as wide as the
    frame, that hold until the next is taken.

  Raises:
    DataError: if a frame cannot be decoded.
  """
  keys = np.flatnonzero(keyframes)
  starts = keys[np.searchsorted(keys, wanted, side="right") - 1].tolist()
  begin, end = offsets[starts[0]], offsets[wanted[-1] + 1]
  data = memoryview(extradata + packets[begin:end] + _PADDING)
  places = (offsets - begin + len(extradata)).tolist()
  places[starts[0]] = 0  # the first packet brings the parameter sets along
  decoder = _thread_decoder()
  position = -1  # the packet whose turn it is; none at first
  for index, start in zip(wanted.tolist(), starts, strict=True):
    if start > position:
      decoder.flush_buffers()
      position = start
    for number in range(position, index + 1):
      packet = av.Packet(data[places[number] : places[number + 1]])
      frame = _decode_packet(decoder, packet, number)
    position = index + 1
    yield [
      np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
      for plane in frame.planes
    ]


def _decode_packet(
  decoder: av.VideoCodecContext, packet: av.Packet, number: int
) -> av.VideoFrame:
  """Without B-frames, each packet gives its frame at once."""
  try:
    frames = decoder.decode(packet)
    reason = f"{len(frames)} frames in one packet"
  except av.FFmpegError as error:
    frames, reason = [], error.strerror
  if len(frames) != 1:
    # Flushing is not enough: what it decodes next would be subtly wrong.
    del _THREAD.decoder
    raise DataError(f"frame {number} cannot be decoded: {reason}")
  return frames[0]


_THREAD = threading.local()


def _thread_decoder() -> av.VideoCodecContext:
  """This thread's decoder, kept from one video to the next."""
  if not hasattr(_THREAD, "decoder"):
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    # Damage is an error, not a grey patch in a training clip.
    decoder.options = {"err_detect": "explode"}
    _THREAD.decoder = decoder
  return _THREAD.decoder
