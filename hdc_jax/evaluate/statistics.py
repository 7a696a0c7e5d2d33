"""Means of repeated measurements, and how sure they are."""

import math
from collections.abc import Sequence

import numpy as np
import scipy.special


def confidence(values: Sequence[float]) -> tuple[float, float]:
  """The mean and the half-width of its 95 % confidence interval.

  By Student's t with n - 1 degrees of freedom.

  Args:
    values: Of n repetitions, at least one.

  Returns:
    Mean and half-width; NaN is the half-width of a single value.
  """
  mean, count = float(np.mean(values)), len(values)
  if count == 1:
    return mean, math.nan
  error = np.std(values, ddof=1) / math.sqrt(count)
  return mean, float(scipy.special.stdtrit(count - 1, 0.975) * error)
