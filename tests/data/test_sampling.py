"""Every start and window that can be drawn, enumerated."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdc_jax.data import sampling


@pytest.mark.parametrize(
  ("num_frames", "frames", "stride", "starts"),
  [
    (20, 16, 1, range(5)),
    (16, 16, 1, range(1)),
    (3, 16, 1, range(1)),
    (20, 8, 2, range(6)),
    (15, 8, 2, range(1)),
  ],
)
def test_random_starts(num_frames, frames, stride, starts):
  """Each legal start is drawn, equally often, and no other."""
  rng = np.random.default_rng(0)
  draws = 400 * len(starts)
  counts = collections.Counter(
    sampling.random_start(rng, num_frames, frames, stride) for _ in range(draws)
  )
  assert set(counts) == set(starts)
  expected = draws / len(starts)
  statistic = sum((n - expected) ** 2 / expected for n in counts.values())
  assert statistic < 25  # chi-square with at most 5 degrees: p < 2e-4


@pytest.mark.parametrize(
  ("args", "want"),
  [
    ((0, 4, 1, 0, 10), [0, 1, 2, 3]),
    ((6, 4, 2, 0, 13), [6, 8, 10, 12]),
    ((0, 7, 1, 0, 3), [0, 1, 2, 0, 1, 2, 0]),
    ((0, 4, 2, 0, 3), [0, 2, 1, 0]),
    ((5, 4, 1, 5, 7), [5, 6, 5, 6]),
    ((6, 3, 1, 5, 20), [6, 7, 8]),
  ],
)
def test_clip_indices(args, want):
  assert sampling.clip_indices(*args).tolist() == want


@pytest.mark.parametrize(
  ("args", "want"),
  [
    # Ten clips of 16 of a 107-frame video, as the protocol's own arithmetic.
    ((10, 16, 1, 0, 107), [0, 10, 20, 30, 40, 50, 60, 70, 80, 91]),
    ((3, 16, 1, 0, 16), [0, 0, 0]),
    ((2, 16, 1, 0, 5), [0, 0]),
    ((2, 8, 2, 30, 60), [30, 45]),
  ],
)
def test_spread_starts(args, want):
  assert sampling.spread_starts(*args) == want


@given(
  clips=st.integers(1, 12),
  frames=st.integers(1, 20),
  stride=st.integers(1, 4),
  first=st.integers(0, 50),
  length=st.integers(1, 100),
)
def test_spread_clips_stay_in_their_part(clips, frames, stride, first, length):
  stop = first + length
  for start in sampling.spread_starts(clips, frames, stride, first, stop):
    indices = sampling.clip_indices(start, frames, stride, first, stop)
    assert len(indices) == frames
    assert indices.min() >= first
    assert indices.max() < stop
    if sampling.clip_span(frames, stride) <= length:
      assert np.all(np.diff(indices) == stride)


def test_windows():
  rng = np.random.default_rng(0)
  drawn = {sampling.random_window(rng, 38, 32, 32) for _ in range(200)}
  assert {(w.top, w.left) for w in drawn} == {(0, 0), (2, 0), (4, 0), (6, 0)}
  assert sampling.centre_window(38, 32, 32)[:2] == (2, 0)
  assert sampling.centre_window(128, 170, 128)[:2] == (0, 20)
