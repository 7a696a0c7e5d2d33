"""The picture as a player shows it: side data, sample aspect ratio, sizes."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from hdc_jax.data.video import codec, normalize, originals
from hdc_jax.errors import DataError

HEIGHT, WIDTH = 96, 128


def luma(array):
  return normalize.split_planes(array)[0]


def psnr(a, b):
  error = np.mean((np.asarray(a, np.float64) - np.asarray(b)) ** 2)
  return 10 * np.log10(255**2 / max(error, 1e-9))


def read(path, short_side=64, **options):
  with originals.Original(str(path), short_side, **options) as original:
    return list(original.frames()), original.picture


# --- side data ------------------------------------------------------------


def app1(orientation):
  """The EXIF segment of a JPEG, with the orientation as its only entry."""
  entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
  tiff = b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
  body = b"Exif\0\0" + tiff
  return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


@pytest.fixture(scope="module")
def write_mjpeg(pattern):
  return lambda path, orientation: _write_mjpeg(path, orientation, pattern)


def _write_mjpeg(path, orientation, pattern):
  """Motion JPEG in AVI as cameras write it: each frame is a JPEG with EXIF.

  Returns:
    The JPEG of each frame.
  """
  encoder = av.CodecContext.create("mjpeg", "w")
  encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
  encoder.time_base, encoder.options = Fraction(1, 15), {"qmin": "1"}
  jpegs = []
  with av.open(str(path), "w") as container:
    stream = container.add_stream("mjpeg", rate=15)
    stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
    for t in range(5):
      frame = av.VideoFrame.from_ndarray(pattern(t, HEIGHT, WIDTH), "rgb24")
      frame = frame.reformat(format="yuvj420p")
      frame.pts = t
      (packet,) = encoder.encode(frame)
      data = bytes(packet)
      jpegs.append(data[:2] + app1(orientation) + data[2:])
      packet = av.Packet(jpegs[-1])
      packet.stream, packet.time_base = stream, Fraction(1, 15)
      packet.pts = packet.dts = t
      packet.is_keyframe = True
      container.mux(packet)
  return jpegs


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_is_read_and_its_orientation_applied(
  write_mjpeg, tmp_path, orientation
):
  """As Pillow turns and mirrors the same JPEGs."""
  path = tmp_path / "camera.avi"
  jpegs = write_mjpeg(path, orientation)
  frames, _ = read(path)
  assert len(frames) == len(jpegs)
  for jpeg, frame in zip(jpegs, frames, strict=True):
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(jpeg)))
    height, width = luma(frame).shape
    assert (height > width) == (upright.height > upright.width)
    grey = upright.convert("L").resize(
      (width, height), Image.Resampling.BICUBIC
    )
    limited = 16 + np.asarray(grey, float) * 219 / 255
    assert psnr(luma(frame), limited) > 34


def test_the_real_camera_file_is_read(faults):
  video = codec.encode(str(faults / "cam_mjpeg_exif.avi"))
  assert (video.num_frames, video.height, video.width) == (20, 128, 170)


# --- sample aspect ratio --------------------------------------------------


def write_squeezed(write_video, path, aspect, **options):
  return write_video(
    path, frames=3, qp=4, sample_aspect_ratio=aspect, **options
  )


@pytest.mark.parametrize(
  ("aspect", "upright", "size"),
  [
    (Fraction(4, 3), (171, 96), (64, 114)),
    (Fraction(1, 2), (64, 96), (96, 64)),
    (Fraction(1), (128, 96), (64, 86)),
    (Fraction(9), (128, 96), (64, 86)),
    (Fraction(1, 9), (128, 96), (64, 86)),
  ],
)
def test_pixels_become_square(
  write_video, pattern, tmp_path, aspect, upright, size
):
  """The whole picture, resized by Pillow; absurd ratios count as 1."""
  path = write_squeezed(write_video, tmp_path / "v.mp4", aspect)
  frames, picture = read(path)
  assert picture == (*upright, False)
  assert luma(frames[0]).shape == size
  for t, frame in enumerate(frames):
    red, green, blue = np.moveaxis(pattern(t, 96, 128).astype(float), -1, 0)
    full = 0.299 * red + 0.587 * green + 0.114 * blue
    image = Image.fromarray((16 + full * 219 / 255).astype(np.float32))
    resized = image.resize(size[::-1], Image.Resampling.BICUBIC)
    assert psnr(luma(frame), resized) > 34


@pytest.mark.parametrize("aspect", [None, Fraction(0), Fraction(-4, 3)])
def test_ratios_that_cannot_be_are_ignored(aspect):
  normalizer = normalize.Normalizer(64, aspect)
  array = normalizer(av.VideoFrame(128, 96, "yuv420p"))
  assert luma(array).shape == (64, 86)


@pytest.mark.skipif(
  not hasattr(av.video.stream.VideoStream, "set_display_rotation"),
  reason="this PyAV cannot write a display matrix",
)
def test_the_ratio_is_that_of_the_picture_as_it_is_stored(
  write_video, tmp_path
):
  """Stored pixels are wide; turned upright they are tall."""
  path = write_squeezed(
    write_video, tmp_path / "v.mp4", Fraction(3, 2), rotation=(90, False, False)
  )
  frames, picture = read(path)
  assert picture == (96, 192, False)
  assert luma(frames[0]).shape == (128, 64)


def test_originals_have_square_pixels_too(write_video, tmp_path):
  path = write_squeezed(write_video, tmp_path / "v.mp4", Fraction(3, 2))
  with originals.Original(str(path), 64) as original:
    assert original.probe()[2:4] == (64, 128)


# --- sizes ----------------------------------------------------------------


def test_frames_much_longer_than_wide_are_named(write_video, tmp_path):
  path = write_video(
    tmp_path / "v.mkv", frames=1, codec="ffv1", height=16, width=4096
  )
  reason = r"v\.mkv: .*4096×16 would become 32768×128, longer than 16384"
  with pytest.raises(DataError, match=reason):
    codec.encode(str(path), short_side=128)
