"""What is cut out of videos, and what cannot be."""

import numpy as np
import pytest

from hdc_jax.data import sources
from hdc_jax.data.clips import sampling, training_clips
from hdc_jax.data.options import Clips
from hdc_jax.data.video.codec import Window
from hdc_jax.data.video.normalize import Normalizer
from hdc_jax.errors import ConfigError, DataError
from tests import small


@pytest.fixture(scope="module")
def source(prepared):
  return sources.open(prepared)


class Broken:
  """A source in which some videos cannot be read."""

  def __init__(self, source, bad):
    self.index, self._source, self._bad = source.index, source, bad

  def __len__(self):
    return len(self._source)

  def __getitem__(self, i):
    if i in self._bad:
      raise DataError(f"video {i}: not to be read")
    return self._source[i]


def cut(source, clips, number=0, label=""):
  """Two clips of a video, or of a replacement if `number` is a list."""
  made = training_clips.make_cut(
    source,
    clips,
    records=source.index.split("train"),
    starts=sampling.IndependentStarts(2),
    label=label,
  )
  numbers = number if isinstance(number, list) else [number]
  return made.random_map(numbers, np.random.default_rng(0))


@pytest.mark.parametrize("canvas", [40, 60])
def test_shapes_are_known_beforehand(source, canvas):
  clips = Clips(frames=8, canvas=canvas)
  starts = sampling.IndependentStarts(2)
  shapes = training_clips.batch_shapes(
    clips, starts, source.index.short_side, 4
  )
  assert shapes == {
    name: ((4, *array.shape), array.dtype)
    for name, array in cut(source, clips).items()
    if name not in ("id", "bad")
  }


@pytest.mark.slow
def test_labels_are_those_of_the_middle_frames(source):
  """Of a label that changes with time; frames tell their time by the grain."""
  still = Clips(frames=1, canvas=40)
  for number in range(8):
    video = source[number]
    clips = cut(source, still, number, label="scene")
    assert clips["id"] == video.id
    assert clips["label"].shape == (2,)
    assert clips["label"].dtype == np.int32
    for y, label in zip(clips["y"], clips["label"], strict=True):
      same = [
        t
        for t in range(video.num_frames)
        if any(
          np.array_equal(video.read([t], Window(0, left, 40, 40)).y, y)
          for left in range(0, video.width - 39, 2)
        )
      ]
      labels = {video.label("scene", t) for t in same}
      assert labels == {int(label)}


def test_only_bad_videos(source):
  broken = Broken(source, set(range(len(source))))
  with pytest.raises(DataError, match=r"8 videos in a row .* not to be read"):
    cut(broken, Clips(frames=8, canvas=40), list(range(8)))


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"data__canvas": 64, "model__size": 44}, "side of the frames, 40"),
    ({"data__canvas": 39}, "canvas=39 must be a multiple of 2"),
    ({"data__canvas": 24}, "model.size=36 must be from 1 to"),
    ({"data__frames": 257}, "data.frames=257 must be at most 256"),
    ({"data__frames": 0}, "data.frames=0 must be at least 1"),
    ({"data__stride": 0}, "data.stride=0 must be at least 1"),
  ],
)
def test_clips_must_fit(source, changes, message):
  def check(**changes):
    options = small.options(**changes)
    size, short_side = options.model.size, source.index.short_side
    training_clips.check_clips(options.clips, size, short_side)

  check()
  with pytest.raises(ConfigError, match=message):
    check(**changes)


@pytest.mark.parametrize("error", [ValueError, OverflowError, MemoryError])
def test_whatever_an_original_raises_it_is_replaced(
  write_video, tmp_path, monkeypatch, caplog, error
):
  """Not only errors of FFmpeg: of the metadata of a frame, for example."""
  write_video(tmp_path / "bad.mp4", frames=10, height=48)
  write_video(tmp_path / "good.mp4", frames=10)
  normalize = Normalizer.__call__

  def fail(normalizer, frame):
    if frame.height == 48:
      raise error("31 is not a valid Type")
    return normalize(normalizer, frame)

  monkeypatch.setattr(Normalizer, "__call__", fail)
  source = sources.open(tmp_path, short_side=64)
  clips = cut(source, Clips(frames=4, canvas=48), [0, 1])
  assert clips["id"] == "good.mp4"
  assert clips["bad"] > 0
  assert f"bad.mp4: cannot be converted: {error.__name__}" in caplog.text
