"""Confidence intervals of the mean of repeated measurements."""

import math
from collections.abc import Sequence

import numpy as np
import scipy


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
  # SciPy loads its `stats` here, which takes a second.
  quantile = scipy.stats.t.ppf(0.975, df=count - 1)
  return mean, float(quantile * standard_error)
