"""Decides by a stated confidence whether too many videos fail to decode."""

import numpy as np
from scipy import special

from hdc_jax.errors import DataError

# Chance to stop a host whose videos fail no more often than is allowed, over
# the whole run. With 1,000 hosts it is 0.1 %.
FALSE_STOP = 1e-6


def log_evidence(
  failed: np.ndarray, tried: np.ndarray, limit: float
) -> np.ndarray:
  """Evidence that videos fail more often than a limit.

  Choice: it is the mean likelihood of what was seen over all rates p between
  the limit and 1, divided by that at the limit,

      ∫ p^k (1 - p)^(n - k) dp / ((1 - limit) limit^k (1 - limit)^(n - k)),

  for k failures in n attempts. If the true rate is at most the limit, this is a
  supermartingale that begins with 1, so that it *ever* exceeds 1/α with a
  probability of at most α (Ville, 1939), however often one looks. A confidence
  bound for a fixed n would not hold at every step of a run: it is exceeded by
  chance sooner or later.

  Args:
    failed: Numbers of failures k, any shape.
    tried: Numbers of attempts n, of the same shape.
    limit: Rate that is allowed, in (0, 1).

  Returns:
    Its natural logarithm, float64.
  """
  k, n = np.asarray(failed, np.float64), np.asarray(tried, np.float64)
  with np.errstate(divide="ignore"):  # far below the limit, it is log 0
    above = np.log(special.betaincc(k + 1, n - k + 1, limit))
  return (
    special.betaln(k + 1, n - k + 1)
    + above
    - special.xlogy(k, limit)
    - special.xlog1py(n - k + 1, -limit)
  )


class FailureRate:
  """Counts the videos that failed, and stops at too many.

  Trainings and evaluations have the same rule, each with a limit of its own.
  """

  def __init__(self, limit: float, field: str) -> None:
    """Begins with no video.

    Args:
      limit: Fraction of the videos that may fail. With 0, none may; with 1, any
        number.
      field: Full name of the field that has the limit, for the message.
    """
    self._limit, self._field = limit, field
    self.failed = self.tried = 0

  def add(self, failed: int, tried: int) -> None:
    """Counts further videos.

    Args:
      failed: Number of those that could not be decoded.
      tried: Number of all that were to be.

    Raises:
      DataError: If videos fail more often than is allowed; by chance, that
        happens to a host in a run with a probability of `FALSE_STOP`.
    """
    self.failed += failed
    self.tried += tried
    if failed and self.is_exceeded():
      raise self.error(self.failed, self.tried)

  def error(self, failed: int, tried: int) -> DataError:
    """The error that says that too many of some videos have failed."""
    return DataError(
      f"{failed} of {tried} videos could not be decoded, more than "
      f"{self._field}={self._limit:g}: see the warnings above"
    )

  def is_exceeded(self) -> bool:
    """Whether videos fail more often than is allowed, see `add`."""
    if not self.failed or not 0 < self._limit < 1:
      return self.failed > 0 and self._limit == 0
    evidence = log_evidence(
      np.array(self.failed), np.array(self.tried), self._limit
    )
    return bool(evidence > -np.log(FALSE_STOP))
