"""Student's interval against a table and by simulation; means of rows."""

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


def rows(values):
  """Rows of top1 by split and draw; `values` is [splits, draws]."""
  return [
    {"name": f"class-split{split}-draw{draw}", "label": "class"}
    | {"split": f"{split}", "draw": f"{draw}", "top1": float(value)}
    | {"top5": 100.0, "videos": 7}
    for split, each in enumerate(values, start=1)
    for draw, value in enumerate(each)
  ]


def test_means_of_draws_with_their_confidence():
  """Splits are averaged first: they are no independent repetitions."""
  values = np.random.default_rng(0).uniform(0, 100, (3, 5))
  (mean,) = statistics.mean_rows(rows(values))
  by_draw = values.mean(axis=0)
  low, high = scipy.stats.t.interval(
    0.95, df=4, loc=by_draw.mean(), scale=scipy.stats.sem(by_draw)
  )
  assert mean["name"] == "class-mean" and mean["label"] == "class"
  assert mean["split"] == mean["draw"] == "mean"
  assert mean["top1"] == pytest.approx(values.mean())
  assert mean["top1_ci95"] == pytest.approx((high - low) / 2)
  assert mean["top5"] == 100.0 and mean["top5_ci95"] == 0.0
  assert "videos" not in mean


def test_means_of_splits_have_none():
  plain = [
    {k: v for k, v in row.items() if k != "draw"} for row in rows([[10], [40]])
  ]
  (mean,) = statistics.mean_rows(plain)
  assert mean == {"name": "class-mean", "label": "class", "split": "mean"} | {
    "top1": 25.0,
    "top5": 100.0,
  }


def test_means_are_of_one_label():
  one, other = ({"label": name, "top1": 5.0} for name in "ab")
  assert statistics.mean_rows([one, other]) == []
  means = statistics.mean_rows([one, other, other | {"top1": 8.0}])
  assert means == [{"name": "b-mean", "label": "b", "top1": 6.5}]
