"""Every start and window that can be drawn, enumerated."""

import collections

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hdc_jax.data.clips import sampling


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


def pairs_of(num_frames, frames, stride, power=1.0, count=20000):
  """Pairs of starts, [count, 2]."""
  rng = np.random.default_rng(0)
  return np.array(
    [
      sampling.interval_starts(rng, num_frames, frames, stride, power)
      for _ in range(count)
    ]
  )


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize(
  ("num_frames", "frames", "stride"), [(40, 16, 2), (40, 16, 1), (22, 20, 1)]
)
def test_intervals(num_frames, frames, stride, power):
  """Every interval as often as CVRL's CDF tells; either clip comes first."""
  starts = num_frames - (frames - 1) * stride
  pairs = pairs_of(num_frames, frames, stride, power)
  assert pairs.min() == 0
  assert pairs.max() == starts - 1
  signed = pairs[:, 1] - pairs[:, 0]
  later = np.sum(signed > 0)
  assert abs(later - np.sum(signed < 0)) < 4 * np.sqrt(later + 1)

  edges = np.arange(starts + 1) / starts
  cdf = ((power + 1) * edges - edges ** (power + 1)) / power
  counts = np.bincount(np.abs(signed), minlength=starts)
  assert chi_square(counts, np.diff(cdf)) > 1e-3


def chi_square(counts, probabilities):
  """How probable counts so far from the probabilities are, or farther."""
  enough = probabilities * counts.sum() >= 5
  observed = [*counts[enough], counts[~enough].sum()]
  expected = [*probabilities[enough], probabilities[~enough].sum()]
  if expected[-1] == 0:
    observed, expected = observed[:-1], expected[:-1]
  return scipy.stats.chisquare(
    observed, np.array(expected) * counts.sum()
  ).pvalue


def test_intervals_of_power_one_have_a_closed_form():
  """M (1 - √(1 - u)), rounded down: the density 2 (M - k) / M²."""
  for u in np.linspace(0, 1, 1001)[:-1]:
    want = 1 - np.sqrt(1 - u)
    assert abs(sampling._interval_quantile(u, 1.0) - want) < 1e-12


def test_the_earlier_start_is_uniform_in_its_room():
  pairs = pairs_of(24, 8, 2)
  first, second = pairs.min(1), pairs.max(1)
  for interval in range(5):
    counts = np.bincount(first[second - first == interval])
    assert len(counts) == 10 - interval
    assert chi_square(counts, np.full(len(counts), 1 / len(counts))) > 1e-3


def test_intervals_of_short_videos():
  """Two independent starts, each anywhere."""
  pairs = pairs_of(6, 8, 2, count=7200)
  counts = np.bincount(6 * pairs[:, 0] + pairs[:, 1], minlength=36)
  assert chi_square(counts, np.full(36, 1 / 36)) > 1e-3
  assert not pairs_of(15, 8, 2, count=10).any()  # one clip fits, just


@given(
  num_frames=st.integers(1, 200),
  frames=st.integers(1, 20),
  stride=st.integers(1, 4),
  data=st.data(),
)
def test_shifted_clips(num_frames, frames, stride, data):
  """Two frames away or more, and in the video wherever there is room."""
  span = sampling.clip_span(frames, stride)
  last = max(0, num_frames - span)
  start = data.draw(st.integers(0, last))
  rng = np.random.default_rng(data.draw(st.integers(0, 100)))
  shifted = sampling.shifted_start(rng, num_frames, frames, stride, start)
  assert 0 <= shifted < num_frames
  if num_frames >= 4:
    assert abs(shifted - start) >= 2
  if last >= 2 * max(2, span // 3):
    assert shifted <= last


@pytest.mark.parametrize(
  ("args", "moved"),
  [
    # Near starts are drawn, too, and become a third of 16 frames later,
    ((100, 16, 1, 40), 45),
    # or earlier where the clip would run over the end,
    ((100, 16, 1, 80), 75),
    ((37, 10, 4, 0), 12),
    # or a third into a video of one clip only,
    ((16, 16, 1, 0), 5),
    # or around a video shorter than a clip.
    ((9, 16, 1, 0), 3),
  ],
)
def test_near_shifts_are_moved_by_a_third(args, moved):
  num_frames, frames, stride, start = args
  rng = np.random.default_rng(0)
  starts = range(max(1, num_frames - sampling.clip_span(frames, stride) + 1))
  far = {other for other in starts if abs(other - start) >= 2}
  counts = collections.Counter(
    sampling.shifted_start(rng, *args) for _ in range(100 * len(starts))
  )
  assert set(counts) == far | {moved}
  near = len(starts) - len(far)
  want = 100 * (near + (moved in far))
  assert abs(counts[moved] - want) < 5 * np.sqrt(want)


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
