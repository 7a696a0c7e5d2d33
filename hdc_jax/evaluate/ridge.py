"""Ridge classifiers of features, in closed form.

One ridge regression for each class tells videos that show it (1) from those
that do not (-1), on features of zero mean and unit variance. The penalty is
chosen by the error of leave-one-out, which one singular value decomposition
gives for all penalties. Choice: This, and not logistic regression, has a closed
form.
"""

from collections.abc import Sequence

import numpy as np

# Penalties λ of λ·Σw², among which leave-one-out chooses.
PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4)


def scores(
  gallery: np.ndarray,
  shown: np.ndarray,
  queries: np.ndarray,
  penalties: Sequence[float] = PENALTIES,
) -> np.ndarray:
  """Class scores of queries by a ridge classifier of a gallery.

  They are those of scikit-learn's `RidgeClassifierCV` after a `StandardScaler`,
  without its intercepts. A feature that is the same in all of the gallery
  counts for nothing. Choice: The intercept of a class grows with its share of
  the gallery. Where features tell little, the largest class would win every
  query.

  Args:
    gallery: Features to learn from, float [G, D], G ≥ 2.
    shown: Whether each of them shows each class, bool [G, C].
    queries: Features to classify, float [Q, D].
    penalties: Penalties among which leave-one-out chooses, one for all classes;
      the first one of equally good ones.

  Returns:
    float32 [Q, C]; higher is more likely.
  """
  inputs, asked = (x.astype(np.float64) for x in (gallery, queries))
  mean, deviation = inputs.mean(axis=0), inputs.std(axis=0)
  deviation[deviation == 0] = 1.0
  inputs, asked = ((x - mean) / deviation for x in (inputs, asked))
  targets = np.where(shown, 1.0, -1.0)
  targets -= targets.mean(axis=0)
  # inputs = left · diag(singular) · right
  left, singular, right = np.linalg.svd(inputs, full_matrices=False)
  projected = left.T @ targets

  def error(penalty: float) -> float:
    """The mean squared error of leave-one-out."""
    shrink = singular**2 / (singular**2 + penalty)
    residuals = targets - left @ (shrink[:, None] * projected)
    # The diagonal of the matrix that maps targets to predictions; the mean of
    # the targets, which is also fitted, gives 1/G.
    leverage = left**2 @ shrink + 1 / len(inputs)
    return float(np.mean((residuals / (1 - leverage)[:, None]) ** 2))

  best = min(penalties, key=error)
  weights = right.T @ ((singular / (singular**2 + best))[:, None] * projected)
  return (asked @ weights).astype(np.float32)
