"""Class-balanced random subsets of labelled videos.

A subset takes the beginning of one permutation per class. So subsets are
nested: with generators of the same seed, a larger one contains every smaller
one.
"""

from collections.abc import Iterator

import numpy as np

from hdc_jax.errors import ConfigError, DataError


def _shuffled(
  labels: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[int, np.ndarray]]:
  """Yields each class with the positions of its videos, in random order."""
  for label in np.unique(labels):
    yield int(label), rng.permutation(np.flatnonzero(labels == label))


def by_fraction(
  labels: np.ndarray, fraction: float, rng: np.random.Generator
) -> np.ndarray:
  """Draws a fraction of the videos of each class, rounded, but at least one.

  Args:
    labels: Class of each video, int [N].
    fraction: Fraction of the videos, above 0 and at most 1.
    rng: Generator to draw from.

  Returns:
    Positions in `labels`, int64, increasing.

  Raises:
    ConfigError: If the fraction is outside of that range.
  """
  if not 0 < fraction <= 1:
    raise ConfigError(
      f"fraction={fraction} of the labels: use one above 0 and at most 1"
    )
  drawn = [
    videos[: max(1, round(fraction * len(videos)))]
    for _, videos in _shuffled(labels, rng)
  ]
  return np.sort(np.concatenate(drawn))


def by_shots(
  labels: np.ndarray, shots: int, rng: np.random.Generator
) -> np.ndarray:
  """Draws the same number of videos of each class.

  Args:
    labels: Class of each video, int [N].
    shots: Videos per class.
    rng: Generator to draw from.

  Returns:
    Positions in `labels`, int64, increasing.

  Raises:
    DataError: If a class has fewer videos.
  """
  drawn = []
  for label, videos in _shuffled(labels, rng):
    if len(videos) < shots:
      raise DataError(
        f"class {label} has {len(videos)} videos, fewer than shots={shots}: "
        "use fewer shots"
      )
    drawn.append(videos[:shots])
  return np.sort(np.concatenate(drawn))


def held_out(
  labels: np.ndarray, fraction: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Holds out a fraction of the videos of each class, for validation.

  Of a class with several videos, at least one is held out and at least one is
  not. The only video of a class is not held out.

  Args:
    labels: Class of each video, int [N].
    fraction: Fraction of the videos, above 0 and below 1.
    rng: Generator to draw from.

  Returns:
    Positions in `labels` of the remaining videos and of those held out, int64,
    increasing.
  """
  drawn = [
    videos[: min(max(1, round(fraction * len(videos))), len(videos) - 1)]
    for _, videos in _shuffled(labels, rng)
  ]
  validation = np.sort(np.concatenate(drawn))
  return np.setdiff1d(np.arange(len(labels)), validation), validation


def any_held_out(
  shown: np.ndarray, fraction: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Holds out a fraction of all videos, which show any number of classes.

  Args:
    shown: Whether each video shows each class, bool [N, C].
    fraction: Fraction of the videos, above 0 and below 1.
    rng: Generator to draw from.

  Returns:
    Positions of the remaining videos and of those held out, int64, increasing;
    none is held out of a single video.
  """
  count = len(shown)
  held = min(max(1, round(fraction * count)), count - 1)
  order = rng.permutation(count)
  return np.sort(order[held:]), np.sort(order[:held])
