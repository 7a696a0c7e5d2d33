"""Which clips of a segment are seen, and where in the frame."""

import pytest

from hdc_jax.data import sources
from hdc_jax.data.clips.placement import (
  FixedPlacement,
  RandomPlacement,
  make_placement,
)
from hdc_jax.data.labels.segments import Segment
from hdc_jax.data.video.codec import Window
from hdc_jax.errors import ConfigError
from tests import small


@pytest.fixture(scope="module")
def source(prepared):
  return sources.open(prepared)


def test_dense_clips_in_five_crops():
  """HDC's test: all 16-frame clips that fit, centre and corners of each."""
  placement = FixedPlacement(16, 1, 112, clips=0, crops="five")
  cuts = placement.cuts(Segment(0, 0, 70, 0), 128, 170)
  assert [start for start, _ in cuts] == [0, 16, 32, 48]
  corners = [(8, 28), (0, 0), (0, 58), (16, 0), (16, 58)]
  for _, windows in cuts:
    assert windows == tuple(Window(*at, 112, 112) for at in corners)


def test_ten_clips_in_three_crops():
  """CVRL's test: along the longer side, whichever that is."""
  placement = FixedPlacement(32, 2, 256, clips=10, crops="three")
  segment = Segment(0, 0, 300, 0)
  cuts = placement.cuts(segment, 256, 340)
  # 32 frames at stride 2 reach over 63: the last start is 237.
  want = [0, 26, 52, 79, 105, 131, 158, 184, 210, 237]
  assert [start for start, _ in cuts] == want
  for _, windows in cuts:
    assert [(w.top, w.left) for w in windows] == [(0, 0), (0, 42), (0, 84)]
  for _, windows in placement.cuts(segment, 340, 256):
    assert [(w.top, w.left) for w in windows] == [(0, 0), (42, 0), (84, 0)]


def test_dense_clips_of_a_segment_stay_inside_of_it():
  placement = FixedPlacement(4, 2, 2, clips=0, crops="centre")
  found = [s for s, _ in placement.cuts(Segment(0, 10, 31, 0), 4, 4)]
  assert found == [10, 17, 24]  # each reaches over 7 frames
  short = placement.cuts(Segment(0, 10, 13, 0), 4, 4)
  assert [start for start, _ in short] == [10]


def test_random_clips_are_a_function_of_the_segment():
  placement = RandomPlacement(8, 2, 32, clips=50, seed=1)
  segment = Segment(5, 20, 60, 0)
  cuts = placement.cuts(segment, 40, 50)
  assert cuts == placement.cuts(segment, 40, 50)
  assert cuts != placement.cuts(segment._replace(video=6), 40, 50)
  starts = [start for start, _ in cuts]
  assert min(starts) >= 20
  assert max(starts) + 15 <= 60
  assert len(set(starts)) > 10
  assert len({windows for _, windows in cuts}) > 10


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("test__crops", "ten", "config.test.crops: 'ten' is not one of centre"),
    ("test__clips", -1, "config.test.clips=-1 must be at least 0"),
    ("test__size", 41, "config.test.size=41 must be a multiple of 2"),
    ("test__size", 48, "short side of the frames, 40"),
    ("model__size", 44, "config.model.size=44"),
    ("model__size", 35, "config.model.size=35 must be even"),
    ("data__frames", 0, "config.data.frames=0 must be at least 1"),
  ],
)
def test_bad_options(source, field, value, message):
  def make(**changes):
    options = small.options(task="retrieve", **changes)
    size, short_side = options.model.size, source.index.short_side
    return make_placement(options.clips, options.shown, size, short_side)

  assert make() == FixedPlacement(8, 1, 36, 2, "centre")
  with pytest.raises(ConfigError, match=message):
    make(**{field: value})
