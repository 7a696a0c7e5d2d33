"""H.264 without a container: frames to packets, packets to chosen frames."""

import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.codec.context import Flags

from hdc_jax.errors import DataError

_YUV = "yuv420p"  # Format of the pixels.
GOP = 16  # Number of frames from one keyframe to the next.
# Raise this number when the options below change and packets with them.
ENCODER_VERSION = 1

# Choice: measured on real clips at short side 128, for training rather than for
# viewing:
# - crf 22 keeps every clip at 38 dB or more (0.3 to 1.6 KB a frame);
# - 'psnr' spends the bits on fidelity, not on grain that looks sharp: 15 %
#   fewer bytes at the same PSNR;
# - without CABAC and the deblocking filter the decoder, which is what limits a
#   host, takes half the time, for 5 % more bytes.
# One thread and no CPU-dependent choices give the same bytes on any machine.
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

# Pixels of a frame, at most: those of the highest level of H.264, 6.2.
MAX_PIXELS = 139_264 * 16**2

_PADDING = bytes(64)  # Decoders may read this far past the end of a packet.


class Encoder:
  """Encodes one video without B-frames, in closed groups of `GOP` frames.

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
    context.options = dict(_OPTIONS)
    context.open()
    extradata = context.extradata
    assert extradata is not None, "global_header makes x264 fill the extradata"
    self.extradata = bytes(extradata)

  def packets(
    self, frames: Iterable[np.ndarray]
  ) -> Iterator[tuple[bytes, bool]]:
    """Encodes all frames of the video; call it once.

    Args:
      frames: The frames in order, each uint8 `[3·H/2, W]` in yuv420p.

    Yields:
      For each frame, in order, its packet and whether it is a keyframe.
    """
    for i, array in enumerate(frames):
      frame = av.VideoFrame.from_ndarray(array, _YUV)
      frame.pts = i
      yield from _packet_bytes(self._context.encode(frame))
    yield from _packet_bytes(self._context.encode(None))


def _packet_bytes(packets: Iterable[av.Packet]) -> Iterator[tuple[bytes, bool]]:
  """Yields the bytes of each packet, and whether it is a keyframe."""
  for packet in packets:
    yield bytes(packet), packet.is_keyframe


def decode(
  extradata: bytes,
  packets: bytes | memoryview,
  offsets: np.ndarray,
  keyframes: np.ndarray,
  indices: np.ndarray,
  height: int,
  width: int,
) -> Iterator[list[np.ndarray]]:
  """Decodes chosen frames, each from the last keyframe at or before it.

  No frame is decoded twice, and stretches between keyframes that hold no wanted
  frame are skipped.

  Args:
    extradata: The parameter sets of the video (Annex B).
    packets: The packets of all N frames, concatenated.
    offsets: Where each packet begins, and where the last one ends, in bytes;
      int64 `[N + 1]`.
    keyframes: Whether each frame is a keyframe, as the first one must be; bool
      `[N]`.
    indices: The frames to decode, increasing, without repeats; int64.
    height: Height of a frame in pixels.
    width: Width of a frame in pixels.

  Yields:
    For each frame of `indices` the planes Y, U and V, uint8: views, at least as
    wide as the frame, that are valid until the next frame is taken.

  Raises:
    DataError: If a frame cannot be decoded, or has another size or format.
  """
  all_keys = np.flatnonzero(keyframes)
  last_keys = np.searchsorted(all_keys, indices, side="right") - 1
  starts = all_keys[last_keys].tolist()
  begin, end = offsets[starts[0]], offsets[indices[-1] + 1]
  # PyAV takes a packet from any buffer, without copying; its stub says bytes.
  data: Any = memoryview(extradata + packets[begin:end] + _PADDING)
  positions = (offsets - begin + len(extradata)).tolist()
  positions[starts[0]] = 0  # The parameter sets are part of the first packet.
  decoder = _thread_decoder()
  following = -1  # The frame after the last decoded one; none at first.
  for index, start in zip(indices.tolist(), starts, strict=True):
    if start > following:
      decoder.flush_buffers()
      following = start
    frame = None
    for i in range(following, index + 1):
      packet = av.Packet(data[positions[i] : positions[i + 1]])
      frame = _decode_packet(decoder, packet, i)
      if (frame.height, frame.width, frame.format.name) != (
        height,
        width,
        _YUV,
      ):
        del _THREAD.decoder
        raise DataError(
          f"frame {i} is {frame.height}×{frame.width} in {frame.format.name}, "
          f"its record says {height}×{width} in {_YUV}"
        )
    if frame is None:
      raise DataError(f"frame {index} cannot be decoded: no keyframe is before")
    following = index + 1
    planes: Any = frame.planes  # Buffers, which the stub does not say.
    yield [
      np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
      for plane in planes
    ]


def _decode_packet(
  decoder: av.VideoCodecContext, packet: av.Packet, index: int
) -> av.VideoFrame:
  """Decodes the frame of one packet; without B-frames it comes out at once."""
  try:
    frames = decoder.decode(packet)
    reason = f"{len(frames)} frames in one packet"
  except Exception as error:  # whatever a damaged packet makes PyAV raise
    frames, reason = [], getattr(error, "strerror", None) or repr(error)
  if len(frames) != 1:
    # Flushing would not be enough: the next frames would be subtly wrong.
    del _THREAD.decoder
    raise DataError(f"frame {index} cannot be decoded: {reason}")
  return frames[0]


_THREAD = threading.local()


def _thread_decoder() -> av.VideoCodecContext:
  """Returns this thread's decoder, which is kept from video to video."""
  if not hasattr(_THREAD, "decoder"):
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    # Damaged data raises an error instead of giving a grey patch.
    decoder.options = {
      "err_detect": "explode",
      "max_pixels": str(MAX_PIXELS),
    }
    _THREAD.decoder = decoder
  return _THREAD.decoder
