"""What is a video, where it is cut off, and whose fault errors are."""

import types
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from hdc_jax.data.datasets import VideoFile
from hdc_jax.data.datasets.unprepared import OriginalVideo
from hdc_jax.data.video import codec, containers, encoder, h264, normalize
from hdc_jax.data.video.frames import Window
from hdc_jax.errors import DataError, StorageError
from hdc_jax.prepare.runners import videos
from hdc_jax.prepare.shards import Skipped

# --- which stream is the video --------------------------------------------


def write_streams(path, *kinds):
  """Streams of one second: 'sound', 'cover', or 'video'.

  The cover is larger than the video.
  """
  with av.open(str(path), "w") as container:
    streams = []
    for kind in kinds:
      if kind == "sound":
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(
          np.zeros((1, 1024), np.float32), "fltp", "mono"
        )
        frame.sample_rate, frames = 44100, [frame]
      else:
        cover = kind == "cover"
        name, pix_fmt = ("mjpeg", "yuvj420p") if cover else ("mpeg4", "yuv420p")
        stream = container.add_stream(name, rate=25)
        stream.width, stream.height = (640, 480) if cover else (64, 48)
        stream.pix_fmt = pix_fmt
        if cover:
          stream.disposition = Disposition.attached_pic
        size = stream.width, stream.height, pix_fmt
        frames = [av.VideoFrame(*size) for _ in range(1 if cover else 25)]
      streams.append((stream, frames))
    for stream, frames in streams:
      for frame in frames:
        container.mux(stream.encode(frame))
      container.mux(stream.encode(None))
  return str(path)


def test_cover_art_is_no_video(tmp_path):
  path = write_streams(tmp_path / "song.mp4", "sound", "cover")
  with pytest.raises(DataError, match=r"song\.mp4: has no video.*only cover"):
    codec.encode(path)


def test_a_video_may_have_cover_art(tmp_path):
  path = write_streams(tmp_path / "film.mp4", "cover", "video")
  video = codec.encode(path, short_side=48)
  assert (video.num_frames, video.height, video.width) == (25, 48, 64)


def test_the_real_song_is_named(faults):
  with pytest.raises(DataError, match=r"audio_cover\.mp4: .*only cover art"):
    codec.encode(str(faults / "audio_cover.mp4"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_picture_is_no_video(tmp_path, kind):
  path = tmp_path / "picture.mp4"
  Image.new("RGB", (64, 48)).save(path, kind)
  with pytest.raises(DataError, match=r"picture\.mp4: .*picture or text"):
    codec.encode(str(path))


@pytest.mark.parametrize(
  ("rate", "fps"),
  [(None, 25), (Fraction(0), 25), (Fraction(-5), 25), (Fraction(50), 50)],
)
def test_rates_that_cannot_be_count_as_unknown(rate, fps):
  stream = types.SimpleNamespace(average_rate=rate)
  assert containers.frame_rate(stream) == fps


# --- files that are cut off -----------------------------------------------

CONTAINERS = {
  "v.mkv": {},
  "v.webm": {"codec": "libvpx", "deadline": "realtime"},
  "v.avi": {"codec": "mpeg4"},
  # FFmpeg estimates how long an AVI is by how much of it is there.
  "intra.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
  "v.flv": {"codec": "flv1"},
  "v.mp4": {"codec": "mpeg4"},
  "v.mov": {},
}


def remux(source, target, **options):
  """Copies the packets of a video into another container.

  Args:
    source: The video.
    target: The copy; its extension gives the container.
    **options: Options of the container.
  """
  with (
    av.open(str(source)) as read,
    av.open(str(target), "w", options=options) as write,
  ):
    stream = write.add_stream_from_template(read.streams.video[0])
    for packet in read.demux(video=0):
      if packet.dts is not None:
        packet.stream = stream
        write.mux(packet)
  return target


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("kept", [0.4, 0.7])
def test_a_file_that_is_cut_off_is_left_out(write_video, tmp_path, name, kept):
  """Whatever its container, as long as that claims a length."""
  options = {"frames": 100, "gop_size": 10, **CONTAINERS[name]}
  path = write_video(tmp_path / name, **options)
  if path.suffix in (".mp4", ".mov"):  # the index in front
    path = remux(path, tmp_path / f"front_{name}", movflags="faststart")
  assert codec.encode(str(path), short_side=32).num_frames == 100
  data = path.read_bytes()
  cut = tmp_path / f"cut_{name}"
  cut.write_bytes(data[: int(kept * len(data))])
  reason = rf"cut_{name}: (is cut off: ends after \d\.\d of|stops after \d+ fr)"
  with pytest.raises(DataError, match=reason):
    codec.encode(str(cut), short_side=32)
  file = VideoFile(str(cut), name, {}, ())
  with pytest.raises(DataError, match=f"cut_{name}: "):
    read_all(OriginalVideo(file, 32))
  # What is shown before can be had by saying so.
  assert codec.encode(str(cut), short_side=32, end=0.4).num_frames == 10


def read_all(video):
  window = Window(0, 0, video.height, video.width)
  return video.read(range(video.num_frames), window)


def test_the_real_cut_off_file_is_named(faults):
  reason = r"truncated\.mkv: is cut off: ends after 0\.7 of 10\.0 s \(19 fr"
  with pytest.raises(DataError, match=reason):
    codec.encode(str(faults / "truncated.mkv"))


@pytest.mark.parametrize(
  ("name", "options"), [("v.ts", {}), ("live.mkv", {"live": "1"})]
)
def test_without_a_claim_a_file_is_whole(write_video, tmp_path, name, options):
  whole = write_video(tmp_path / "a.mkv", frames=50, gop_size=5)
  path = remux(whole, tmp_path / name, **options)
  data = path.read_bytes()
  path.write_bytes(data[: len(data) // 2])
  assert 15 < codec.encode(str(path), short_side=32).num_frames < 35


def test_sound_may_be_longer_than_the_picture(tmp_path):
  """The claim is that of the longest stream, which the sound reaches."""
  path = tmp_path / "v.mkv"
  with av.open(str(path), "w") as container:
    video = container.add_stream("mpeg4", rate=25)
    video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
    sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
    for _ in range(25):
      container.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")))
    container.mux(video.encode(None))
    for i in range(30):
      samples = np.zeros((1, 800), np.int16)
      frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
      frame.sample_rate, frame.pts = 8000, 800 * i
      container.mux(sound.encode(frame))
  assert codec.encode(str(path), short_side=32).num_frames == 25


@pytest.mark.parametrize(("interval", "cut_off"), [(0.04, True), (10, False)])
def test_the_last_frame_may_be_shown_for_long(interval, cut_off):
  """Slides: as long as the others. The file does not say how long it is."""
  stream = types.SimpleNamespace(index=0, average_rate=Fraction(25))
  container = types.SimpleNamespace(
    format=types.SimpleNamespace(name="matroska,webm"), duration=50 * 10**6
  )
  extent = containers.Extent(container, stream)
  for time in np.arange(0, 40.001, interval):
    milliseconds = round(1000 * time)
    packet = types.SimpleNamespace(
      stream=stream,
      size=1,
      pts=milliseconds,
      dts=milliseconds,
      duration=None,
      time_base=Fraction(1, 1000),
    )
    extent.add(packet)
  if cut_off:
    with pytest.raises(
      DataError, match=r"v: is cut off: ends after 40\.0 of 50"
    ):
      extent.check("v")
  extent.check("v", end=40)
  if not cut_off:
    extent.check("v")


def test_what_an_edit_list_hides_does_not_count(write_video, tmp_path):
  source = write_video(tmp_path / "a.mp4", frames=100, gop_size=10, bf=0)
  target = tmp_path / "v.mp4"
  options = {"use_editlist": "1", "avoid_negative_ts": "disabled"}
  with (
    av.open(str(source)) as read,
    av.open(str(target), "w", options=options) as write,
  ):
    stream = write.add_stream_from_template(read.streams.video[0])
    hidden = int(2 / read.streams.video[0].time_base)
    for packet in read.demux(video=0):
      if packet.dts is not None:
        packet.pts, packet.dts = packet.pts - hidden, packet.dts - hidden
        packet.stream = stream
        write.mux(packet)
  assert codec.encode(str(target), short_side=32).num_frames == 50


def test_all_real_clips_but_the_broken_one_are_whole(clips):
  for path in sorted(clips.glob("*.*")):
    if path.suffix != ".md" and path.name != "corrupted.mp4":
      OriginalVideo(VideoFile(str(path), path.name, {}, ()), 64)


# --- errors ---------------------------------------------------------------

ERRORS = [
  ValueError("31 is not a valid Type"),
  OverflowError("int too big"),
  ZeroDivisionError("Fraction(0, 0)"),
  MemoryError(),
  UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
  AssertionError("strange"),
  OSError(5, "Input/output error"),
]
PLACES = [
  (containers, "_main_stream"),
  (containers, "frame_rate"),
  (containers.Extent, "add"),
  (normalize.Normalizer, "__init__"),
  (normalize.Normalizer, "__call__"),
  (encoder.Encoder, "packets"),
]


@pytest.fixture(scope="module")
def video(write_video, tmp_path_factory):
  return str(write_video(tmp_path_factory.mktemp("video") / "v.mp4", frames=5))


@pytest.mark.parametrize(
  "error", ERRORS, ids=lambda error: type(error).__name__
)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[1])
def test_whatever_comes_out_of_a_decoder_is_the_videos_fault(
  video, monkeypatch, place, error
):
  """In `prepare` and where originals are read, with the name of the file."""

  def fail(*_, **__):
    raise error

  monkeypatch.setattr(*place, fail)
  file = VideoFile(video, "v", {}, ())
  skipped = videos.prepare_video(file, "h264", 32)
  assert isinstance(skipped, Skipped)
  assert skipped.reason.startswith(f"{video}: ")
  assert type(error).__name__ in skipped.reason
  if place[0] is not encoder.Encoder:
    with pytest.raises(DataError, match=r"v\.mp4: "):
      read_all(OriginalVideo(file, 32))


def test_a_bucket_that_fails_is_not(video, monkeypatch):
  def fail(*_):
    raise StorageError("503")

  monkeypatch.setattr(containers, "_main_stream", fail)
  with pytest.raises(StorageError):
    codec.encode(video)


def test_a_record_is_at_fault_alike(video, monkeypatch):
  encoded = codec.encode(video, short_side=32)

  class Decoder:
    def flush_buffers(self):
      pass

    def decode(self, _):
      raise ValueError("31 is not a valid Type")

  with monkeypatch.context() as patch:
    patch.setattr(h264._THREAD, "decoder", Decoder(), raising=False)
    with pytest.raises(DataError, match="frame 0 cannot be decoded: ValueErr"):
      codec.decode(encoded, [0], Window(0, 0, 32, 32))
    # The decoder is not used again.
    codec.decode(encoded, [0], Window(0, 0, 32, 32))
    patch.setattr(h264._THREAD, "decoder", None, raising=False)
    del h264._THREAD.decoder
