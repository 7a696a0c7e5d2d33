"""How fast clips come out of the loader, of which videos."""

import types

import numpy as np
import pytest

from hdc_jax.data import feeding, sources
from hdc_jax.data.clips import sampling
from hdc_jax.data.options import Clips
from hdc_jax.data.video.frames import Window
from hdc_jax.prepare import command as prepare

STARTS = sampling.IndependentStarts(2)


def rate(source, **clips):
  return feeding.clips_per_second(source, Clips(**clips), STARTS, 0.2)


def test_videos_of_the_dataset_are_spread_over_it(prepared, monkeypatch):
  monkeypatch.setattr(feeding, "_SAMPLE", 4)
  whole = sources.open(prepared)
  videos, what = feeding.videos_of(prepared, 40)
  assert what == "videos of the dataset"
  assert len(videos) == 4
  last = len(whole) - 1
  spread = [0, last // 3, 2 * last // 3, last]
  assert [v.id for v in videos] == [whole[i].id for i in spread]
  window = Window(0, 0, 40, 40)
  np.testing.assert_array_equal(
    videos[1].read([3], window).y, whole[spread[1]].read([3], window).y
  )
  assert rate(videos, frames=4) > 0


def test_a_bucket_is_not_copied(remote, tmp_path):
  videos, what = feeding.videos_of("gs://b/data", 40)
  assert (what, len(videos)) == ("a generated video", 1)
  assert videos.index.short_side == 40


def test_files_and_raw_videos(write_video, tmp_path):
  """Whatever is trained on is what is measured."""
  write_video(tmp_path / "videos" / "a.mp4", frames=20, height=48, width=64)
  options = ["--dataset=folder", "--codec=raw", "--short_side=32"]
  places = [f"--source={tmp_path}/videos", f"--output={tmp_path}/raw"]
  assert prepare.main([*options, *places, "--workers=1"]) == 0
  for name, codec in (("videos", "original"), ("raw", "raw")):
    videos, _ = feeding.videos_of(str(tmp_path / name), 32)
    assert videos.index.codec == codec
    assert rate(videos, frames=4) > 0


@pytest.mark.slow
def test_more_pixels_take_longer():
  small, large = (
    rate(feeding.videos_of("", side)[0], canvas=128) for side in (128, 256)
  )
  # Four times the pixels are decoded.
  assert small > 1.3 * large > 0


def test_what_the_loader_does_counts(prepared, monkeypatch):
  """Time goes by only where clips are joined to a batch, by a fake clock."""
  videos, _ = feeding.videos_of(prepared, 40)
  join, seconds, reads = np.stack, [0.0], iter(range(1000))

  def slow(*args, **kwargs):
    seconds[0] += 0.01
    return join(*args, **kwargs)

  def now():
    next(reads)  # It is not read for ever.
    return seconds[0]

  monkeypatch.setattr(np, "stack", slow)
  monkeypatch.setattr(feeding, "time", types.SimpleNamespace(process_time=now))
  assert rate(videos, frames=4) > 0


@pytest.mark.parametrize(
  ("canvas", "short_side"), [(64, 128), (128, 128), (256, 256), (342, 256)]
)
def test_short_side(canvas, short_side):
  assert feeding.likely_short_side(canvas) == short_side
