"""Student's interval against a table and by simulation."""

import math

import numpy as np
import pytest
import scipy.stats

from hdc_jax.evaluate import statistics


@pytest.mark.parametrize(
  ("values", "quantile"),
  # Two-sided 95 % of a printed table of t, by degrees of freedom.
  [([1.0, 2.0], 12.706), ([1.0, 2.0, 6.0], 4.303), (range(10), 2.262)],
)
def test_confidence_is_student_s(values, quantile):
  mean, half = statistics.confidence(values)
  count = len(values)
  assert mean == pytest.approx(sum(values) / count)
  deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (count - 1))
  assert half == pytest.approx(
    quantile * deviation / math.sqrt(count), rel=2e-4
  )


def test_the_interval_holds_the_mean_95_times_of_100():
  rng = np.random.default_rng(0)
  held = [
    abs(mean - 3.0) <= half
    for mean, half in (
      statistics.confidence(rng.normal(3.0, 2.0, 4)) for _ in range(2000)
    )
  ]
  assert abs(np.mean(held) - 0.95) < 0.015


def test_confidence_is_that_of_scipy():
  values = [70.5, 71.25, 69.0, 72.0]
  mean, half = statistics.confidence(values)
  low, high = scipy.stats.t.interval(
    0.95, df=3, loc=np.mean(values), scale=scipy.stats.sem(values)
  )
  assert (mean - half, mean + half) == pytest.approx((low, high), rel=1e-14)


def test_equal_values_have_an_interval_of_no_width():
  assert statistics.confidence([70.5, 70.5, 70.5]) == (70.5, 0.0)


def test_one_value_has_no_interval():
  mean, half = statistics.confidence([70.5])
  assert mean == 70.5
  assert math.isnan(half)
