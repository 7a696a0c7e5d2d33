"""Draws of labelled videos: balanced, nested, and never the same twice."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hdc_jax.data.labels import subsets
from hdc_jax.errors import ConfigError, DataError

labels_lists = st.lists(st.integers(0, 5), min_size=1, max_size=60)
fractions = st.floats(0.01, 1.0)
seeds = st.integers(0, 99)


def rng(seed=0):
  return np.random.default_rng(seed)


def check_positions(positions, count):
  assert positions.dtype == np.int64
  assert np.all(np.diff(positions) > 0)
  assert np.all((positions >= 0) & (positions < count))


@given(labels=labels_lists, fraction=fractions, seed=seeds)
def test_fraction_of_each_class(labels, fraction, seed):
  labels = np.array(labels)
  drawn = subsets.by_fraction(labels, fraction, rng(seed))
  check_positions(drawn, len(labels))
  for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
    want = max(1, round(fraction * int(count)))
    assert np.sum(labels[drawn] == label) == want


@example(labels=list(range(5)) * 40, pair=(0.1, 0.5), seed=0)
@given(labels=labels_lists, pair=st.tuples(fractions, fractions), seed=seeds)
def test_fractions_are_nested(labels, pair, seed):
  labels = np.array(labels)
  small, large = (
    set(subsets.by_fraction(labels, fraction, rng(seed)).tolist())
    for fraction in sorted(pair)
  )
  assert small <= large


@given(labels=labels_lists, shots=st.integers(1, 8), seed=seeds)
def test_shots_of_each_class(labels, shots, seed):
  """Exactly so many, nested, or an error if a class has fewer."""
  labels = np.array(labels)
  classes, counts = np.unique(labels, return_counts=True)
  if counts.min() < shots:
    scarce = np.argmax(counts < shots)
    message = f"class {classes[scarce]} has {counts[scarce]} videos"
    with pytest.raises(DataError, match=message):
      subsets.by_shots(labels, shots, rng(seed))
    return
  drawn = subsets.by_shots(labels, shots, rng(seed))
  check_positions(drawn, len(labels))
  assert np.unique(labels[drawn], return_counts=True)[1].tolist() == (
    [shots] * len(classes)
  )
  fewer = subsets.by_shots(labels, max(1, shots - 1), rng(seed))
  assert set(fewer.tolist()) <= set(drawn.tolist())


@given(labels=labels_lists, fraction=st.floats(0.01, 0.99), seed=seeds)
def test_held_out(labels, fraction, seed):
  labels = np.array(labels)
  rest, held = subsets.held_out(labels, fraction, rng(seed))
  check_positions(rest, len(labels))
  check_positions(held, len(labels))
  assert sorted([*rest, *held]) == list(range(len(labels)))
  for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
    drawn = np.sum(labels[held] == label)
    assert np.any(labels[rest] == label)
    if count > 1:
      assert abs(drawn - fraction * count) <= 1
      assert drawn >= 1


@pytest.mark.parametrize(
  "draw",
  [
    lambda labels, rng: subsets.by_fraction(labels, 0.5, rng),
    lambda labels, rng: subsets.by_shots(labels, 2, rng),
    lambda labels, rng: subsets.held_out(labels, 0.5, rng)[1],
  ],
)
def test_every_video_is_drawn_as_often(draw):
  """2 of 4 of each class, by seeds that decide all."""
  labels = np.array([0, 1, 1, 0, 0, 1, 0, 1])
  draws = [draw(labels, rng(seed)) for seed in range(600)]
  np.testing.assert_array_equal(draws[7], draw(labels, rng(7)))
  counts = np.bincount(np.concatenate(draws), minlength=8)
  assert np.all(abs(counts - 300) < 5 * np.sqrt(600 / 4))


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.01, 10, float("nan")])
def test_no_such_fraction(fraction):
  with pytest.raises(ConfigError, match="fraction="):
    subsets.by_fraction(np.array([0, 1]), fraction, rng())


@pytest.mark.parametrize(
  ("count", "fraction", "held"), [(20, 0.3, 6), (3, 0.01, 1), (1, 0.5, 0)]
)
def test_any_held_out(count, fraction, held):
  """Of all videos, whatever they show; each is in one part."""
  shown = np.zeros((count, 3), bool)
  parts = [
    subsets.any_held_out(shown, fraction, np.random.default_rng(seed))
    for seed in (0, 0, 1)
  ]
  for rest, out in parts:
    assert len(out) == held
    assert sorted([*rest, *out]) == list(range(count))
    assert np.all(np.diff(out) > 0) and np.all(np.diff(rest) > 0)
  np.testing.assert_array_equal(parts[0][1], parts[1][1])
  if held > 1:
    assert not np.array_equal(parts[0][1], parts[2][1])
