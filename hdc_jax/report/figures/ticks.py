"""Ticks of the axes of curves: round numbers, and how they are written."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

_COUNT = 4  # greatest number of intervals
_ROUND = (1, 2, 2.5, 5, 10)
# Smallest range of an axis as a fraction of its values, above the noise of
# float32; a curve that is flatter looks flat.
_MIN_RANGE = 1e-5
_SUFFIXES = {"k": 1e3, "M": 1e6}


def around(low: float, high: float) -> np.ndarray:
  """Finds the ticks of the vertical axis.

  Args:
    low: Lowest value on the axis.
    high: Highest value on the axis.

  Returns:
    Round numbers, of which the first and the last enclose all values.
  """
  size = max(abs(low), abs(high))
  if not size:
    low, high = 0.0, 1.0
  elif high - low < _MIN_RANGE * size:
    low, high = low - _MIN_RANGE * size, high + _MIN_RANGE * size
  return np.asarray(MaxNLocator(_COUNT, steps=_ROUND).tick_values(low, high))


def steps(last: float) -> np.ndarray:
  """Finds the ticks of the horizontal axis.

  Args:
    last: Last step.

  Returns:
    Round whole numbers from 0 to at most `last`.
  """
  locator = MaxNLocator(_COUNT, steps=_ROUND, integer=True)
  places = np.asarray(locator.tick_values(0, last))
  return places[places <= last]


def numbers(places: Sequence[float] | np.ndarray) -> list[str]:
  """Writes the numbers of an axis with the digits that they need to be exact.

  Args:
    places: Places of the ticks, increasing.

  Example:
    >>> numbers([9727.0, 9727.25, 9727.5]), numbers([0, 5000, 10000])
    (['9727', '9727.25', '9727.5'], ['0', '5000', '10k'])
  """
  gap = min(np.diff(places).tolist(), default=1.0)
  texts: list[str] = []
  for digits in range(6, 16):
    texts = [number(place, digits) for place in places]
    errors = np.abs([_value(t) for t in texts] - np.asarray(places))
    if (errors < gap / 100).all():
      break
  return texts


def number(x: float, digits: int = 6) -> str:
  """Writes a number in few characters: '0.5', '200', '50k'.

  Args:
    x: The number.
    digits: Greatest number of significant digits.
  """
  for size, suffix in ((1e6, "M"), (1e4, "k")):
    if abs(x) >= size:
      return f"{x / _SUFFIXES[suffix]:.{digits}g}{suffix}"
  return f"{x + 0.0:.{digits}g}"  # no -0


def _value(number: str) -> float:
  """The value of what `_number` writes."""
  suffix = number[-1]
  return float(number.rstrip("kM")) * _SUFFIXES.get(suffix, 1)
