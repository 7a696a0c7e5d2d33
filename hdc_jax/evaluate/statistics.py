"""Means of repeated measurements, with confidence intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

from hdc_jax.runs.text_table import CONFIDENCE


def confidence(values: Sequence[float]) -> tuple[float, float]:
  """The mean of repeated measurements, and its 95 % confidence interval.

  The interval is that of Student's t distribution with n - 1 degrees of
  freedom, as `scipy.stats.t.interval` gives it; equal values, for which that is
  NaN, have the half-width 0.

  Args:
    values: Results of n ≥ 1 repetitions.

  Returns:
    The mean, and the half-width of the interval about it: NaN for a single
    value.

  Example:
    >>> mean, half_width = confidence([70.0, 71.0, 72.0])
    >>> print(f"{mean:.1f} ± {half_width:.2f}")
    71.0 ± 2.48
  """
  mean, count = float(np.mean(values)), len(values)
  if count == 1:
    return mean, math.nan
  standard_error = np.std(values, ddof=1) / math.sqrt(count)
  quantile = special.stdtrit(count - 1, 0.975)
  return mean, float(quantile * standard_error)


def mean_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
  """The means of each label's results, over folds and then over subsets.

  Args:
    rows: Results of trials by column, among them 'label' and, where there are
      several, 'split' and 'draw', see `Trial.row`. Means are those of floats.

  Returns:
    A row for each label that has several. If it has several subsets, the row
    also has half the width of the 95 % confidence interval of the mean over
    subsets, in columns with the suffix `CONFIDENCE`.
  """
  means = []
  for label in dict.fromkeys(row["label"] for row in rows):
    results = [row for row in rows if row["label"] == label]
    if len(results) == 1:
      continue
    draws = list(dict.fromkeys(row.get("draw") for row in results))
    mean: dict[str, Any] = {"name": f"{label}-mean", "label": label}
    mean |= {k: "mean" for k in ("split", "draw") if k in results[0]}
    for column in (k for k, v in results[0].items() if isinstance(v, float)):
      by_draw = [
        float(np.mean([r[column] for r in results if r.get("draw") == draw]))
        for draw in draws
      ]
      mean[column], half_width = confidence(by_draw)
      if len(draws) > 1:
        mean[column + CONFIDENCE] = half_width
    means.append(mean)
  return means
