"""Which labelled videos to train on: class-balanced, random and nested.

Each draw takes the beginning of one permutation per class, so with generators
of the same seed a smaller draw lies inside every larger one.
"""

from collections.abc import Iterator

import numpy as np

from hdc_jax.errors import ConfigError, DataError


def _shuffled(
  labels: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[int, np.ndarray]]:
  """Every class and the positions of its videos, in random order."""
  for label in np.unique(labels):
    yield int(label), rng.permutation(np.flatnonzero(labels == label))


def by_fraction(
  labels: np.ndarray, fraction: float, rng: np.random.Generator
) -> np.ndarray:
  """A fraction of the videos of each class, rounded, but at least one.

  Args:
    labels: int [N], the class of each video.
    fraction: Above 0, at most 1.
    rng: The same seed gives nested draws.

  Returns:
    int64 positions in `labels`, increasing.

  Raises:
    ConfigError: If there is no such fraction.
  """
  if not 0 < fraction <= 1:
    raise ConfigError(
      f"fraction={fraction} of the labels: use one above 0 and at most 1"
    )
  drawn = [
    found[: max(1, round(fraction * len(found)))]
    for _, found in _shuffled(labels, rng)
  ]
  return np.sort(np.concatenate(drawn))


def by_shots(
  labels: np.ndarray, shots: int, rng: np.random.Generator
) -> np.ndarray:
  """The same number of videos of each class.

  Args:
    labels: int [N], the class of each video.
    shots: Videos per class.
    rng: The same seed gives nested draws.

  Returns:
    int64 positions in `labels`, increasing.

  Raises:
    DataError: If a class has fewer videos.
  """
  drawn = []
  for label, found in _shuffled(labels, rng):
    if len(found) < shots:
      raise DataError(
        f"class {label} has {len(found)} videos, fewer than shots={shots}: use "
        "fewer shots"
      )
    drawn.append(found[:shots])
  return np.sort(np.concatenate(drawn))


def held_out(
  labels: np.ndarray, fraction: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Sets a fraction of the videos of each class aside, to choose by.

  Of a class with several videos at least one is held out and at least one is
  not; the video of a class with only one is not.

  Args:
    labels: int [N], the class of each video.
    fraction: Above 0, below 1.
    rng: Decides which.

  Returns:
    int64 positions in `labels` of the rest and of those held out, increasing.
  """
  held = [
    found[: min(max(1, round(fraction * len(found))), len(found) - 1)]
    for _, found in _shuffled(labels, rng)
  ]
  aside = np.sort(np.concatenate(held))
  return np.setdiff1d(np.arange(len(labels)), aside), aside
