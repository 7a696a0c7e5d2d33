"""Which clips of a part are looked at, and where."""

import pytest
from hdc_jax.data.clips.test_clips import FixedLooks, RandomLooks, fixed_looks

from hdc_jax.data import sources
from hdc_jax.data.labels.segments import Part
from hdc_jax.data.video.codec import Window
from hdc_jax.errors import ConfigError
from tests import small


@pytest.fixture(scope="module")
def source(prepared):
  return sources.open(prepared)


def test_dense_clips_in_five_crops():
  """HDC's test: all 16-frame clips that fit, centre and corners of each."""
  looks = FixedLooks(16, 1, 112, clips=0, crops="five")
  cuts = looks.cuts(Part(0, 0, 70, 0), 128, 170)
  assert [start for start, _ in cuts] == [0, 16, 32, 48]
  corners = [(8, 28), (0, 0), (0, 58), (16, 0), (16, 58)]
  for _, windows in cuts:
    assert windows == tuple(Window(*at, 112, 112) for at in corners)


def test_ten_clips_in_three_crops():
  """CVRL's test: along the longer side, whichever that is."""
  looks = FixedLooks(32, 2, 256, clips=10, crops="three")
  part = Part(0, 0, 300, 0)
  cuts = looks.cuts(part, 256, 340)
  # 32 frames at stride 2 reach over 63: the last start is 237.
  want = [0, 26, 52, 79, 105, 131, 158, 184, 210, 237]
  assert [start for start, _ in cuts] == want
  for _, windows in cuts:
    assert [(w.top, w.left) for w in windows] == [(0, 0), (0, 42), (0, 84)]
  for _, windows in looks.cuts(part, 340, 256):
    assert [(w.top, w.left) for w in windows] == [(0, 0), (42, 0), (84, 0)]


def test_dense_clips_of_a_part_stay_inside_of_it():
  looks = FixedLooks(4, 2, 2, clips=0, crops="centre")
  found = [s for s, _ in looks.cuts(Part(0, 10, 31, 0), 4, 4)]
  assert found == [10, 17, 24]  # each reaches over 7 frames
  short = looks.cuts(Part(0, 10, 13, 0), 4, 4)
  assert [start for start, _ in short] == [10]


def test_random_clips_are_a_function_of_the_part():
  looks = RandomLooks(8, 2, 32, clips=50, seed=1)
  part = Part(5, 20, 60, 0)
  cuts = looks.cuts(part, 40, 50)
  assert cuts == looks.cuts(part, 40, 50)
  assert cuts != looks.cuts(part._replace(video=6), 40, 50)
  starts = [start for start, _ in cuts]
  assert min(starts) >= 20
  assert max(starts) + 15 <= 60
  assert len(set(starts)) > 10
  assert len({windows for _, windows in cuts}) > 10


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("test__crops", "ten", "config.test.crops: 'ten' is not one of centre"),
    ("test__clips", -1, "config.test.clips=-1"),
    ("test__size", 41, "config.test.size=41 must be even"),
    ("test__size", 48, "short side of the frames, 40"),
    ("model__size", 44, "config.model.size=44"),
    ("data__frames", 0, "config.data.frames=0"),
  ],
)
def test_bad_looks(source, field, value, message):
  with pytest.raises(ConfigError, match=message):
    fixed_looks(small.config(**{field: value}), source)
