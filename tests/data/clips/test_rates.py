"""Clips of equal duration out of videos of different frame rates."""

import dataclasses

import numpy as np
import pytest

from hdc_jax.data.clips import (
  evaluation_clips,
  placement,
  sampling,
  single,
  training_clips,
)
from hdc_jax.data.options import Clips
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.options import identity
from hdc_jax.tasks import TASKS
from tests import small
from tests.data.clips import generated

RATES = (15.0, 25.0, 30000 / 1001, 60.0)
FRAMES = 8


def videos():
  """One of three seconds for each rate."""
  return [generated.Video(f"{rate:g}", int(3 * rate), rate) for rate in RATES]


def times(y, rate):
  """The time in seconds at which each frame of a clip [T, H, W] is shown."""
  return y[:, 0, 0] / rate


def by_stride(stride):
  return Clips(frames=FRAMES, stride=stride, canvas=4)


def by_rate(fps):
  return Clips(frames=FRAMES, fps=fps, canvas=4)


def assert_even(shown, rate, fps):
  """Frames are at most half a source frame from multiples of 1/fps."""
  want = np.arange(FRAMES) / fps
  assert np.abs(shown - shown[0] - want).max() <= 0.5 / rate + 1e-9


@pytest.mark.parametrize("fps", [5.0, 12.5, 15.0, 40.0])
def test_training_clips_are_equally_long(fps):
  source = generated.Source(videos())
  cut = training_clips.make_cut(
    source,
    by_rate(fps),
    records=np.arange(len(RATES)),
    starts=sampling.IndependentStarts(4),
  )
  for number, rate in enumerate(RATES):
    clips = cut.random_map([number], np.random.default_rng(0))["y"]
    for y in clips:
      assert_even(times(y, rate), rate, fps)
    if fps > rate:  # a slow source repeats frames
      assert (np.diff(clips[0][:, 0, 0].astype(int)) == 0).any()


@pytest.mark.parametrize(
  "place",
  [
    placement.FixedPlacement(FRAMES, 1, 4, 3, "centre", fps=10.0),
    placement.FixedPlacement(FRAMES, 1, 4, 0, "centre", fps=10.0),
    placement.RandomPlacement(FRAMES, 1, 4, 3, seed=0, fps=10.0),
  ],
)
def test_test_clips_are_equally_long(place):
  cut = evaluation_clips.CutSegments(generated.Source(videos()), "", place)
  for number, rate in enumerate(RATES):
    clips = cut.map(number)["y"]
    assert len(clips) >= 3  # of 0.8 seconds, in three seconds
    for y in clips:
      assert_even(times(y, rate), rate, 10.0)


def test_encoded_clips_are_equally_long(monkeypatch):
  """As the Python API encodes them."""
  cutting = single.SingleVideos(by_rate(10.0), 4)
  for video in videos():
    monkeypatch.setattr(single.sources, "open_video", lambda *_, v=video: v)
    for y in cutting.spread("x", 2)["y"]:
      assert_even(times(y, video.fps), video.fps, 10.0)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_rate_of_the_source_is_a_stride(stride):
  """The same frames, to the byte, as by the stride."""
  source = generated.Source([generated.Video(num_frames=90, fps=30.0)])
  made = [
    training_clips.make_cut(
      source,
      clips,
      records=np.arange(1),
      starts=sampling.IntervalStarts(),
    ).random_map([0], np.random.default_rng(0))
    for clips in (by_stride(stride), by_rate(30.0 / stride))
  ]
  assert made[0].keys() == made[1].keys()
  for name, value in made[0].items():
    np.testing.assert_array_equal(value, made[1][name])


@pytest.mark.parametrize(
  ("stride", "want"),
  [
    (1.0, [0, 1, 2, 3, 4]),
    (2.5, [0, 3, 5, 8, 10]),
    (0.4, [0, 0, 1, 1, 2]),
    (5 / 3, [0, 2, 3, 5, 7]),
  ],
)
def test_nearest_frames(stride, want):
  assert sampling.frame_offsets(5, stride).tolist() == want
  assert sampling.clip_span(5, stride) == want[-1] + 1


@pytest.mark.parametrize("stride", [0.3, 0.5, 1.2, 2.5, 4.7])
def test_clips_stay_in_the_video(stride):
  rng = np.random.default_rng(0)
  span = sampling.clip_span(FRAMES, stride)
  for starts in (
    sampling.IndependentStarts(2),
    sampling.IntervalStarts(),
    sampling.ShiftedStarts(),
  ):
    for _ in range(50):
      for start in starts.draw(rng, 60, FRAMES, stride):
        assert 0 <= start <= 60 - span


@pytest.mark.parametrize("rate", [0.0, float("nan")])
def test_a_video_without_a_frame_rate(rate):
  video = dataclasses.replace(videos()[0], fps=rate)
  assert sampling.stride_in(video, 3, 0.0) == 3
  with pytest.raises(DataError, match=r"^15: its frame rate is unknown"):
    sampling.stride_in(video, 3, 10.0)


def test_stride_and_rate_exclude_each_other():
  config = small.config(method="cvrl", data__stride=2)
  config.data.path = "x"
  config.data.fps = 10.0
  with pytest.raises(
    ConfigError,
    match=r"data\.stride has an effect only with config\.data\.fps=0\.0",
  ):
    TASKS["pretrain"].resolve(config)
  with pytest.raises(ConfigError, match=r"config\.data\.fps=-1"):
    Clips(fps=-1.0)


def test_the_rate_counts_for_a_run_only_where_it_is_set():
  """Fingerprints and checkpoints are older than the field."""
  task = TASKS["pretrain"]
  config = task.run_config(small.config().to_dict())
  older = {
    **config.values,
    "data": {k: v for k, v in config.values["data"].items() if k != "fps"},
  }
  before = dataclasses.replace(config, values=older)
  assert before.fingerprint == config.fingerprint
  config.check_resumes(older, "run")
  rated = config.changed({"data.fps": 12.5})
  assert rated.fingerprint != config.fingerprint
  assert "stride" not in rated.values["data"]
  with pytest.raises(ConfigError, match=r"config\.data\.fps is 12\.5"):
    rated.check_resumes(older, "run")
  assert "data.fps" in identity.DECISIVE
