"""Videos are parted where a label changes."""

import itertools

import pytest

from hdc_jax.data import sources
from hdc_jax.data.labels.segments import parts_of
from hdc_jax.errors import DataError


@pytest.fixture(scope="module")
def source(prepared):
  return sources.open(prepared)


def test_parts_of_a_video(source):
  video = source[0]
  (whole,) = parts_of(0, video, "motion")
  assert (whole.first, whole.stop) == (0, video.num_frames)
  assert parts_of(0, video, "") == [whole._replace(label=-1)]
  parts = parts_of(0, video, "scene")
  assert parts[0].first == 0
  assert parts[-1].stop == video.num_frames
  assert all(a.stop == b.first for a, b in itertools.pairwise(parts))
  for part in parts:
    assert video.label("scene", part.first) == part.label
    assert video.label("scene", part.stop - 1) == part.label
  with pytest.raises(DataError, match=r"'speed'.*motion, scene"):
    parts_of(0, video, "speed")
