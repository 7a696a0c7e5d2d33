"""Interlaced frames: found, counted in the summary, and deinterlaced."""

import av
import numpy as np
import pytest
from av.codec.context import Flags

from hdc_jax.data.video import codec, normalize, originals
from hdc_jax.data.video.deinterlacing import deinterlaced
from hdc_jax.prepare import command

HEIGHT, WIDTH = 96, 128


def picture(moment):
  """RGB of a bar that moves by four pixels from field to field."""
  image = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
  left = 10 + 4 * moment % 80
  image[:, left : left + 20] = 220
  return image


def woven(t):
  """Two moments in the lines of one frame, the bottom field's first."""
  frame = picture(2 * t + 1)
  frame[1::2] = picture(2 * t)[1::2]
  return frame


@pytest.fixture(scope="module")
def write(write_video, tmp_path_factory):
  directory = tmp_path_factory.mktemp("interlaced")

  def write(name, shown, interlaced=True, **options):
    flags = Flags.global_header
    if interlaced:
      flags |= Flags.interlaced_dct
    options = {"codec": "mpeg2video", "qmin": 1, "qmax": 2} | options
    return write_video(
      directory / name, picture=shown, flags=flags, **{"frames": 10} | options
    )

  return write


def combing(frames):
  """Mean difference of neighbouring lines of the luma, in grey levels."""
  luma = np.stack([normalize.split_planes(frame)[0] for frame in frames])
  return np.abs(np.diff(luma.astype(float), axis=1)).mean()


def read(path, deinterlace):
  with originals.Original(
    str(path), HEIGHT, deinterlace=deinterlace
  ) as original:
    return list(original.frames()), original.picture.interlaced


@pytest.mark.parametrize("frames", [2, 10])
def test_combing_is_removed_and_no_frame(write, frames):
  path = write(f"{frames}.mkv", woven, frames=frames)
  combed, flagged = read(path, deinterlace=False)
  assert flagged
  smooth, flagged = read(path, deinterlace=True)
  assert flagged
  assert len(smooth) == len(combed) == frames
  assert combing(combed) > 5
  assert combing(smooth) < 0.5


def test_each_frame_shows_its_own_time(write):
  """That of its first field, not that of its neighbours."""
  smooth, _ = read(write("times.mkv", woven), deinterlace=True)
  for t, frame in list(enumerate(smooth))[1:-1]:
    luma = normalize.split_planes(frame)[0].astype(float)
    shown = np.flatnonzero(luma.mean(axis=0) > 100)
    left = 10 + 8 * t % 80
    assert abs(shown[0] - left) <= 2


def test_progressive_frames_stay_as_they_are(write):
  path = write("progressive.mkv", lambda t: picture(2 * t), interlaced=False)
  before, flagged = read(path, deinterlace=False)
  assert not flagged
  after, _ = read(path, deinterlace=True)
  np.testing.assert_array_equal(before, after)


def test_a_stream_may_change_its_size():
  frames = [av.VideoFrame(WIDTH, h, "yuv420p") for h in (96, 96, 48, 48, 96)]
  got = list(deinterlaced(iter(frames)))
  assert [frame.height for frame in got] == [96, 96, 48, 48, 96]


@pytest.mark.parametrize(("matrix", "full"), [(1, False), (6, True), (1, True)])
def test_colours_stay(write, matrix, full):
  path = write(
    f"{matrix}{full}.mp4",
    woven,
    codec="libx264",
    qp=4,
    colorspace=matrix,
    color_range=2 if full else 1,
  )
  combed, flagged = read(path, deinterlace=False)
  assert flagged
  smooth, _ = read(path, deinterlace=True)
  for a, b in zip(combed, smooth, strict=True):
    for before, after in zip(*map(normalize.split_planes, (a, b)), strict=True):
      assert abs(before[:, :8].mean() - after[:, :8].mean()) < 1
  assert combing(smooth) < combing(combed) / 4


def test_prepare_counts_them_and_deinterlaces(write, tmp_path, capsys):
  write("a/x.mkv", woven)
  source = write("a/y.mkv", lambda t: picture(t), interlaced=False).parent
  args = ["--dataset=folder", f"--source={source}", f"--output={tmp_path}"]
  args += ["--short_side=96", "--workers=1"]
  assert command.main(args) == 0
  assert "  interlaced: 1 videos, combed, see --deinterlace\n" in (
    capsys.readouterr().out
  )
  assert command.main([*args, "--deinterlace"]) == 0
  assert "  interlaced: 1 videos, deinterlaced\n" in capsys.readouterr().out
  video = codec.encode(str(source / "x.mkv"), deinterlace=True)
  assert video.num_frames == 10
