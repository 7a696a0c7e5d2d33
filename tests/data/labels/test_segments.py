"""Videos are divided where a label changes."""

import itertools

import pytest

from hdc_jax.data import sources
from hdc_jax.data.labels.segments import segments_of
from hdc_jax.errors import DataError


@pytest.fixture(scope="module")
def source(prepared):
  return sources.open(prepared)


def test_segments_of_a_video(source):
  video = source[0]
  (whole,) = segments_of(0, video, "motion")
  assert (whole.first, whole.stop) == (0, video.num_frames)
  assert segments_of(0, video, "") == [whole._replace(label=-1)]
  segments = segments_of(0, video, "scene")
  assert segments[0].first == 0
  assert segments[-1].stop == video.num_frames
  assert all(a.stop == b.first for a, b in itertools.pairwise(segments))
  for segment in segments:
    assert video.label("scene", segment.first) == segment.label
    assert video.label("scene", segment.stop - 1) == segment.label
  with pytest.raises(DataError, match=r"'speed'.*motion, scene"):
    segments_of(0, video, "speed")
