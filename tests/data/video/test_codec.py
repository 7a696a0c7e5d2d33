"""The way of frames into packets and back."""

import concurrent.futures
import dataclasses
import tracemalloc

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hdc_jax.data.video import codec, h264, normalize, originals
from hdc_jax.data.video import frames as frames_lib
from hdc_jax.data.video.frames import Frames, Window
from hdc_jax.errors import ConfigError, DataError

FRAMES = 50  # three groups of 16 and a rest


@pytest.fixture(scope="module")
def video(write_video, tmp_path_factory):
  path = tmp_path_factory.mktemp("codec") / "video.mp4"
  return str(write_video(path, frames=FRAMES, height=96, width=128))


@pytest.fixture(scope="module")
def encoded(video):
  return codec.encode(video, short_side=64)


@pytest.fixture(scope="module")
def decoded(encoded):
  """All frames, by PyAV alone."""
  return sequentially(encoded)


def whole(video):
  return Window(0, 0, video.height, video.width)


def sequentially(encoded):
  """Decodes everything as an H.264 byte stream, by PyAV's plainest way."""
  frames = plain_frames(encoded)
  arrays = [frame.to_ndarray(format="yuv420p") for frame in frames]
  return frames_lib.crop(arrays, whole(encoded))


def plain_frames(encoded):
  context = av.CodecContext.create("h264", "r")
  packets = context.parse(encoded.extradata + encoded.packets)
  packets += context.parse()
  return [f for packet in [*packets, None] for f in context.decode(packet)]


def normalized(path, short_side):
  with originals.Original(str(path), short_side) as original:
    return list(original.frames())


def psnr(a, b):
  """Mean over the frames, in dB."""
  errors = (np.asarray(a, np.float64) - np.asarray(b)) ** 2
  return np.mean(10 * np.log10(255**2 / errors.mean(axis=(-2, -1)).clip(1e-9)))


def assert_same(frames, expected):
  np.testing.assert_array_equal(frames.y, expected.y)
  np.testing.assert_array_equal(frames.uv, expected.uv)


def cut(frames, indices, window):
  top, left, height, width = window
  rows = slice(top // 2, (top + height) // 2)
  columns = slice(left // 2, (left + width) // 2)
  return Frames(
    frames.y[indices, top : top + height, left : left + width],
    frames.uv[indices, rows, columns],
  )


# --- encode ---------------------------------------------------------------


def test_one_packet_per_frame_in_closed_groups_of_16(encoded):
  assert (encoded.height, encoded.width) == (64, 86)
  assert encoded.num_frames == FRAMES
  assert encoded.fps == 25
  np.testing.assert_array_equal(
    np.flatnonzero(encoded.keyframes), range(0, FRAMES, 16)
  )
  assert encoded.offsets[0] == 0
  assert encoded.offsets[-1] == len(encoded.packets)
  assert (np.diff(encoded.offsets) > 0).all()


def test_every_group_decodes_on_its_own(encoded, decoded):
  """A closed group needs nothing but the parameter sets and itself."""
  for start in range(0, FRAMES, 16):
    stop = min(start + 16, FRAMES)
    begin, end = encoded.offsets[[start, stop]]
    group = dataclasses.replace(
      encoded, packets=encoded.packets[begin:end], offsets=None, keyframes=None
    )
    assert_same(
      sequentially(group), cut(decoded, np.arange(start, stop), whole(encoded))
    )


def test_three_of_four_frames_are_disposable(encoded):
  group = [False, *3 * [False, True, True, True], False, True, True]
  expected = [*group, *group, *group, False, False]
  assert encoded.disposable.tolist() == expected
  kinds = [PictureType(frame.pict_type) for frame in plain_frames(encoded)]
  shown = h264.shown_at(encoded.disposable)
  assert sorted(shown) == list(range(FRAMES))
  for i, number in enumerate(shown):
    key = PictureType.I if encoded.keyframes[i] else PictureType.P
    assert kinds[number] == (PictureType.B if expected[i] else key)


def test_encoding_again_gives_the_same_bytes(video, encoded):
  again = codec.encode(video, short_side=64)
  assert again.packets == encoded.packets
  assert again.extradata == encoded.extradata


def test_frames_leave_the_encoder_without_their_timing(write_video, tmp_path):
  """Bits go to what a frame shows, not to how long it is shown."""
  slow, fast = (
    write_video(tmp_path / f"{rate}.mkv", codec="ffv1", rate=rate)
    for rate in (5, 100)
  )
  a, b = codec.encode(str(slow)), codec.encode(str(fast))
  assert (a.fps, b.fps) == (5, 100)
  assert b.packets == a.packets


def test_encoding_holds_a_few_frames_at_a_time(write_video, tmp_path):
  path = write_video(tmp_path / "long.mp4", frames=200, height=128, width=160)
  codec.encode(str(path), short_side=16)  # imports and buffers
  tracemalloc.start()
  codec.encode(str(path))
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < 200 * 128 * 160 / 2


@pytest.mark.parametrize(
  ("height", "width", "expected"),
  [(96, 128, (64, 86)), (128, 96, (86, 64)), (50, 52, (64, 66))],
)
def test_the_short_side_is_exact_up_and_down(
  write_video, tmp_path, height, width, expected
):
  path = write_video(tmp_path / "v.mp4", frames=2, height=height, width=width)
  video = codec.encode(str(path), short_side=64)
  assert (video.height, video.width) == expected


def test_odd_sizes_and_rgb_are_read(write_video, tmp_path):
  path = write_video(
    tmp_path / "v.mkv",
    frames=3,
    height=75,
    width=101,
    codec="ffv1",
    pix_fmt="bgr0",
  )
  video = codec.encode(str(path), short_side=64)
  assert (video.num_frames, video.height, video.width) == (3, 64, 86)


def test_scaling_is_antialiased(write_video, tmp_path):
  """A grating too fine for the small frame turns grey, without a moiré."""
  x = np.arange(512)
  grating = np.broadcast_to(
    (127.5 + 100 * np.sin(x * np.pi * 0.9))[None, :, None], (384, 512, 3)
  ).astype(np.uint8)
  path = write_video(
    tmp_path / "v.mkv",
    frames=1,
    height=384,
    width=512,
    codec="ffv1",
    picture=lambda t: grating,
  )
  (frame,) = normalized(path, 64)
  assert normalize.split_planes(frame)[0][4:-4, 4:-4].std() < 2


# BT.601 limited range of the colours below, in any range and matrix of origin.
COLORS = {"red": (200, 30, 40), "green": (20, 180, 60), "grey": (90, 90, 90)}
MATRICES = {1: (0.2126, 0.0722), 6: (0.299, 0.114)}


def to_yuv(rgb, matrix, full):
  r, g, b = np.array(rgb) / 255
  red, blue = MATRICES[matrix]
  y = red * r + (1 - red - blue) * g + blue * b
  cb, cr = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
  if full:
    return np.array([255 * y, 128 + 255 * cb, 128 + 255 * cr])
  return np.array([16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr])


@pytest.mark.parametrize("color", COLORS.values(), ids=COLORS)
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize(
  ("tagged", "height", "matrix"),
  [(1, 64, 1), (6, 64, 6), (2, 64, 6), (2, 720, 1)],
  ids=["709", "601", "untagged", "untagged-hd"],
)
def test_colors_come_out_in_bt601_limited(
  tmp_path, color, full, bits, tagged, height, matrix
):
  path = tmp_path / "v.mp4"
  with av.open(str(path), "w") as container:
    stream = container.add_stream("libx264", rate=25)
    pix_fmt = "yuv420p" if bits == 8 else "yuv420p10le"
    stream.height, stream.width, stream.pix_fmt = height, 96, pix_fmt
    stream.codec_context.colorspace = tagged
    stream.codec_context.color_range = 2 if full else 1
    stream.codec_context.options = {"qp": "1"}
    frame = av.VideoFrame(96, height, pix_fmt)
    values = (to_yuv(color, matrix, full) * 2 ** (bits - 8)).round()
    for plane, value in zip(frame.planes, values, strict=True):
      value = value.astype(np.uint8 if bits == 8 else np.uint16).tobytes()
      plane.update(value * (plane.buffer_size // len(value)))
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
  (array,) = normalized(path, 32)
  got = [plane.mean() for plane in normalize.split_planes(array)]
  np.testing.assert_allclose(got, to_yuv(color, 6, full=False), atol=1.5)


@pytest.mark.skipif(
  not hasattr(av.video.stream.VideoStream, "set_display_rotation"),
  reason="this PyAV cannot write a display matrix",
)
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("quarters", range(4))
def test_pictures_are_turned_upright(
  write_video, pattern, tmp_path, quarters, mirror
):
  """Stored turned or mirrored with a matrix that undoes it: as if it were not.

  `rot90` and the matrix both turn counter-clockwise.
  """
  upright = normalized(write_video(tmp_path / "a.mp4", frames=2, qp=4), 64)

  def stored(t):
    picture = pattern(t, 96, 128)
    picture = picture[:, ::-1] if mirror else picture
    return np.ascontiguousarray(np.rot90(picture, -quarters))

  height, width = (96, 128) if quarters % 2 == 0 else (128, 96)
  path = write_video(
    tmp_path / "b.mp4",
    frames=2,
    qp=4,
    height=height,
    width=width,
    picture=stored,
    rotation=(90 * quarters, mirror, False),
  )
  turned = normalized(path, 64)
  assert turned[0].shape == upright[0].shape
  for a, b in zip(upright, turned, strict=True):
    for x, y in zip(*map(normalize.split_planes, (a, b)), strict=True):
      assert psnr(x, y) > 34


@pytest.mark.parametrize(
  ("make", "reason"),
  [
    (lambda path: None, "No such file"),
    (lambda path: path.write_bytes(b"no video" * 1000), "cannot be opened"),
    (lambda path: write_sound(path), "no video stream"),
  ],
  ids=["absent", "garbage", "sound"],
)
def test_what_is_no_video_is_named(tmp_path, make, reason):
  path = tmp_path / "v.mp4"
  make(path)
  with pytest.raises(DataError, match=rf"v\.mp4: .*{reason}"):
    codec.encode(str(path))


def write_sound(path):
  with av.open(str(path), "w") as container:
    stream = container.add_stream("aac", rate=44100)
    frame = av.AudioFrame.from_ndarray(
      np.zeros((1, 1024), np.float32), "fltp", "mono"
    )
    frame.sample_rate = 44100
    container.mux([*stream.encode(frame), *stream.encode(None)])


def test_a_stream_that_breaks_off_is_named(write_video, tmp_path):
  path = write_video(tmp_path / "v.mp4", frames=30, gop_size=10, bf=0)
  with av.open(str(path)) as container:
    packets = [p for p in container.demux(video=0) if p.size]
    begin, end = packets[20].pos, packets[29].pos
  data = bytearray(path.read_bytes())
  data[begin:end] = b"\xff" * (end - begin)
  path.write_bytes(data)
  with pytest.raises(DataError, match=r"v\.mp4: stops after \d+ frames: Inval"):
    codec.encode(str(path))


def test_settings_are_checked(video):
  with pytest.raises(ConfigError, match=r"vp9.*h264, raw"):
    codec.encode(video, codec="vp9")
  with pytest.raises(ConfigError, match="short_side=63"):
    codec.encode(video, short_side=63)


# --- decode ---------------------------------------------------------------


def test_all_frames_are_those_of_the_plain_decoder(encoded, decoded):
  frames = codec.decode(encoded, range(FRAMES), whole(encoded))
  assert frames.y.shape == (FRAMES, 64, 86)
  assert frames.uv.shape == (FRAMES, 32, 43, 2)
  assert_same(frames, decoded)


clips_of_loops = st.builds(
  lambda start, stride, length, loop: [
    (start + stride * i) % loop for i in range(length)
  ],
  st.integers(0, FRAMES - 1),
  st.integers(1, 40),
  st.integers(1, 24),
  st.integers(1, FRAMES),
)
any_indices = st.lists(st.integers(0, FRAMES - 1), min_size=1, max_size=20)
windows = st.builds(
  lambda top, left, height, width: Window(
    2 * top, 2 * left, 2 * min(height, 32 - top), 2 * min(width, 43 - left)
  ),
  st.integers(0, 31),
  st.integers(0, 42),
  st.integers(1, 32),
  st.integers(1, 43),
)


@settings(max_examples=150, deadline=None)
@given(indices=clips_of_loops | any_indices, window=windows)
def test_any_frames_and_window(encoded, decoded, indices, window):
  assert_same(
    codec.decode(encoded, indices, window), cut(decoded, indices, window)
  )


@pytest.mark.parametrize(
  ("indices", "packets"),
  [
    ([0], [0]),
    ([18], [16, 20, 18]),
    ([2, 2, 1, 2], [0, 4, 1, 2]),
    ([0, 1, 2, 0, 1, 2], [0, 4, 1, 2]),
    ([15, 16], [0, 4, 8, 12, 15, 16]),
    ([1, 33], [0, 4, 1, 32, 36, 33]),
    ([30, 31, 40], [16, 20, 24, 28, 31, 30, 32, 36, 40]),
    ([30, 40], [16, 20, 24, 28, 31, 30, 32, 36, 40]),
    ([4, 8, 12, 16], [0, 4, 8, 12, 16]),
    ([5, 7, 9], [0, 4, 8, 5, 7, 12, 9]),
  ],
)
def test_nothing_is_decoded_in_vain(encoded, monkeypatch, indices, packets):
  """Of frames 0 to 15, none refers to others than 0, 4, 8, 12 and 15."""
  numbers = []
  decode_packet = h264._decode_packet

  def spy(decoder, number, data):
    if data is not None:
      numbers.append(number)
    return decode_packet(decoder, number, data)

  monkeypatch.setattr(h264, "_decode_packet", spy)
  codec.decode(encoded, indices, whole(encoded))
  assert numbers == packets


def test_threads_and_videos_do_not_mix(write_video, tmp_path):
  """Each thread goes from video to video, of other sizes and contents."""
  videos = [
    codec.encode(
      str(write_video(tmp_path / f"{i}.mp4", frames=20 + i, width=96 + 32 * i)),
      short_side=64 if i % 2 else 32,
    )
    for i in range(4)
  ]
  expected = [sequentially(video) for video in videos]
  rng = np.random.default_rng(0)
  jobs = [
    (which, rng.integers(videos[which].num_frames, size=8).tolist())
    for which in rng.integers(4, size=200)
  ]

  def run(job):
    which, indices = job
    return codec.decode(videos[which], indices, whole(videos[which]))

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for (which, indices), frames in zip(jobs, pool.map(run, jobs), strict=True):
      assert_same(frames, cut(expected[which], indices, whole(videos[which])))


@pytest.mark.parametrize(
  "damage",
  [
    lambda video: {"packets": bytes(len(video.packets))},
    lambda video: {"packets": video.packets[::-1]},
    lambda video: {"packets": zero_half_of(video, 16)},
  ],
  ids=["zeros", "reversed", "half"],
)
def test_damage_is_an_error_and_leaves_no_trace(encoded, decoded, damage):
  damaged = dataclasses.replace(encoded, **damage(encoded))
  for _ in range(2):
    with pytest.raises(DataError, match="frame 16 cannot be decoded"):
      codec.decode(damaged, [20], whole(encoded))
    assert_same(
      codec.decode(encoded, [20], whole(encoded)),
      cut(decoded, [20], whole(encoded)),
    )


@pytest.mark.parametrize("number", [1, 2, 4, 16])
def test_flags_that_do_not_fit_the_packets_are_an_error(encoded, number):
  disposable = encoded.disposable.copy()
  disposable[number] ^= True
  wrong = dataclasses.replace(encoded, disposable=disposable)
  for _ in range(2):
    with pytest.raises(DataError, match=r"frame \d+ cannot be decoded"):
      codec.decode(wrong, range(FRAMES), whole(encoded))
    codec.decode(encoded, [20], whole(encoded))


def zero_half_of(video, number):
  """The packets, one of them with zeros in its second half."""
  begin, end = video.offsets[[number, number + 1]]
  middle = (begin + end) // 2
  return video.packets[:middle] + bytes(end - middle) + video.packets[end:]


def test_frames_and_windows_are_checked(encoded):
  for indices in ([-1], [FRAMES], []):
    with pytest.raises(IndexError):
      codec.decode(encoded, indices, whole(encoded))
  for window in [(1, 0, 2, 2), (0, 0, 66, 2), (0, -2, 2, 2), (0, 0, 0, 2)]:
    with pytest.raises(ValueError, match="64×86"):
      codec.decode(encoded, [0], Window(*window))


# --- raw ------------------------------------------------------------------


@pytest.fixture(scope="module")
def raw(video):
  return codec.encode(video, codec="raw", short_side=64)


def test_raw_is_exact(video, raw):
  expected = frames_lib.crop(normalized(video, 64), whole(raw))
  assert_same(codec.decode(raw, range(FRAMES), whole(raw)), expected)


@settings(max_examples=50, deadline=None)
@given(indices=clips_of_loops | any_indices, window=windows)
def test_any_raw_frames_and_window(raw, indices, window):
  everything = codec.decode(raw, range(FRAMES), whole(raw))
  assert_same(
    codec.decode(raw, indices, window), cut(everything, indices, window)
  )


def test_raw_cut_short_is_an_error(raw):
  short = dataclasses.replace(raw, packets=raw.packets[:-1])
  with pytest.raises(DataError, match="cut short"):
    codec.decode(short, [0], whole(raw))


# --- real videos ----------------------------------------------------------

REAL = {  # frames, height, width at short side 128, with square pixels
  "v_ApplyEyeMakeup_g01_c01.avi": (164, 128, 170),
  "v_BaseballPitch_g01_c01.avi": (107, 128, 170),
  "arm_wrestling.mp4": (280, 128, 214),
  "short_32_frames.mp4": (32, 128, 228),
  "bikes.mp4": (250, 128, 302),
  "carphone.mp4": (120, 128, 172),
  "nasa_13013.mp4": (390, 128, 228),
  "av1_video.mkv": (125, 128, 228),
  "h264_10bits.mp4": (30, 128, 128),
  "h265_video.mp4": (10, 128, 128),
  "bt709_full_range.mp4": (30, 128, 228),
  "flipping_a_pancake.mkv": (310, 128, 228),
  "rotated_0.mov": (3, 128, 228),
  "rotated_90.mov": (3, 228, 128),
  "rotated_180.mov": (3, 128, 228),
  "rotated_270.mov": (3, 228, 128),
}


@pytest.mark.parametrize("name", REAL)
def test_real_videos_keep_38_db(clips, name):
  """Against decoding and resizing the original by other means.

  Luma is resized by Pillow, after the range and matrix were changed in floating
  point where they are not BT.601 limited already.
  """
  video = codec.encode(str(clips / name))
  assert (video.num_frames, video.height, video.width) == REAL[name]
  frames = codec.decode(video, range(video.num_frames), whole(video))
  values = []
  with av.open(str(clips / name)) as container:
    stream = container.streams.best("video")
    for i, frame in enumerate(container.decode(stream)):
      if i % 4 == 0 or video.num_frames < 16:
        luma = np.rot90(bt601_luma(frame), round(frame.rotation / 90))
        resized = Image.fromarray(luma.astype(np.float32)).resize(
          (video.width, video.height), Image.Resampling.BICUBIC
        )
        values.append(psnr(frames.y[i], resized))
  assert np.mean(values) >= 38


def bt601_luma(frame):
  """Of a 4:2:0 frame with 8 or more bits; float, [H, W]."""
  bits = frame.format.components[0].bits
  y, u, v = (
    np.frombuffer(plane, np.uint8 if bits == 8 else np.uint16)
    .reshape(plane.height, -1)[:, : plane.width]
    .astype(float)
    / 2 ** (bits - 8)
    for plane in frame.planes
  )
  if frame.colorspace != 1:
    return y
  cb, cr = (np.kron(plane - 128, np.ones((2, 2))) for plane in (u, v))
  full = frame.color_range == 2
  y = y / 255 if full else (y - 16) / 219
  cb, cr = (plane / (255 if full else 224) for plane in (cb, cr))
  red, blue = y + 1.5748 * cr, y + 1.8556 * cb
  green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
  red, green, blue = np.clip([red, green, blue], 0, 1)
  return 16 + 219 * (0.299 * red + 0.587 * green + 0.114 * blue)


def test_broken_off_real_video_is_named(clips):
  with pytest.raises(DataError, match=r"corrupted\.mp4: stops after 28 frames"):
    codec.encode(str(clips / "corrupted.mp4"))
