"""Videos that are a part of their file, from `start` to `end` seconds."""

import av
import numpy as np
import pytest

from hdc_jax.data.datasets import VideoFile
from hdc_jax.data.datasets.unprepared import OriginalVideo
from hdc_jax.data.video import codec, containers, decoding, frames
from hdc_jax.data.video.frames import Window
from hdc_jax.errors import DataError
from hdc_jax.prepare.runners import videos
from hdc_jax.prepare.shards import Skipped

FRAMES, GOP = 100, 10
FILES = {
  "v.mp4": {"bf": 2},
  "v.mkv": {},
  "v.webm": {"codec": "libvpx-vp9", "deadline": "realtime"},
  "v.ts": {"bf": 2},
  "v.avi": {"codec": "mpeg4"},
  "v.flv": {"codec": "flv1"},
  "v.mpg": {"codec": "mpeg2video"},
}


@pytest.fixture(scope="module", params=FILES)
def path(request, write_video, tmp_path_factory):
  path = tmp_path_factory.mktemp("parts") / request.param
  options = {"frames": FRAMES, "gop_size": GOP, **FILES[request.param]}
  return str(write_video(path, **options))


@pytest.fixture(scope="module")
def everything(path):
  """All frames, raw, as one video."""
  return whole(codec.encode(path, codec="raw", short_side=32))


def whole(encoded):
  window = Window(0, 0, encoded.height, encoded.width)
  return codec.decode(encoded, range(encoded.num_frames), window)


def assert_same(got, everything, indices):
  np.testing.assert_array_equal(got.y, everything.y[indices])
  np.testing.assert_array_equal(got.uv, everything.uv[indices])


@pytest.mark.parametrize(
  ("start", "end", "first", "stop"),
  [
    (0, 0.04, 0, 1),
    (0.4, 0.8, 10, 20),
    (0.41, 0.81, 11, 21),
    (2.5, 2.6, 63, 65),
    (3.2, None, 80, 100),
    (3.9, 4.2, 98, 100),
    (0, 1, 0, 25),
    (0, 60, 0, 100),
  ],
)
def test_frames_are_those_that_are_shown_between(
  path, everything, start, end, first, stop
):
  """The same in `prepare` and in an original file."""
  part = {"start": start, "end": end}
  video = codec.encode(path, codec="raw", short_side=32, **part)
  assert_same(whole(video), everything, range(first, stop))
  original = OriginalVideo(VideoFile(path, "v", {}, (), **part), 32)
  assert original.num_frames == stop - first
  chosen = np.unique([0, (stop - first) // 2, stop - first - 1])
  window = Window(0, 0, original.height, original.width)
  assert_same(original.read(chosen, window), everything, first + chosen)


@pytest.mark.parametrize("start", [4, 1e6, 1e300])
def test_a_part_without_a_frame_is_the_videos_fault(path, start):
  file = VideoFile(path, "v", {}, (), start=start)
  skipped = videos.prepare_video(file, "h264", 32)
  assert isinstance(skipped, Skipped)
  assert skipped.reason.startswith(f"{path}: holds no frames from {start:g} s")
  with pytest.raises(DataError, match="holds no frames between 2 and 2 s"):
    codec.encode(path, start=2, end=2)


def test_decoding_begins_near_the_part(path, everything, monkeypatch):
  """Not at the first frame, where the container can seek."""
  counts = []

  def counted(decode):
    def spy(*args):
      for frame in decode(*args):
        counts.append(frame.pts)
        yield frame

    return spy

  for name in ("decode_all", "decode_from"):
    decode = getattr(decoding.Decoder, name)
    monkeypatch.setattr(decoding.Decoder, name, counted(decode))
  codec.encode(path, short_side=32, start=3.0, end=3.2)
  assert len(counts) > 5
  if not path.endswith((".avi", ".flv", ".mpg")):
    assert len(counts) < 3 * GOP


def test_no_more_of_a_long_file_is_read_than_has_to_be(path, monkeypatch):
  packets = []
  add = containers.Extent.add

  def spy(extent, packet):
    packets.append(packet.size)
    add(extent, packet)

  monkeypatch.setattr(containers.Extent, "add", spy)
  OriginalVideo(VideoFile(path, "v", {}, (), end=1.0), 32)
  if not path.endswith(".avi"):
    assert len(packets) < FRAMES // 2


def test_times_are_those_of_the_frames_and_not_of_their_number(tmp_path):
  """In a video whose frames are shown for 1, 3, 5, … hundredths."""
  path = tmp_path / "v.mkv"
  times = [10 * i * i for i in range(20)]  # milliseconds
  with av.open(str(path), "w") as container:
    stream = container.add_stream("ffv1", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for i, time in enumerate(times):
      array = np.full((72, 64), 16 + 10 * i, np.uint8)
      (packet,) = stream.encode(av.VideoFrame.from_ndarray(array, "yuv420p"))
      packet.pts = packet.dts = time
      container.mux(packet)
  with av.open(str(path)) as container:
    shown = [frame.time for frame in container.decode(video=0)]
  video = codec.encode(
    str(path), codec="raw", short_side=32, start=shown[5], end=shown[9]
  )
  got = frames.Frames(*whole(video)).y[:, 0, 0]
  np.testing.assert_allclose(got, 16 + 10 * np.arange(5, 9), atol=1)
