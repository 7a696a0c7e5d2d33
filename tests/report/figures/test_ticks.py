"""Ticks: round, distinct, and written without loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdc_jax.report.figures import ticks


@given(
  low=st.floats(-1e7, 1e7).filter(lambda x: not 0 < abs(x) < 1e-9),
  size=st.floats(0, 1e6),
)
def test_numbers_say_where_the_ticks_are(low, size):
  places = ticks.around(low, low + size)
  gap = np.diff(places).min()
  slack = 1e-6 * gap
  assert places[0] <= low + slack and low + size - slack <= places[-1]
  numbers = ticks.numbers(places)
  assert len({*numbers}) == len(numbers) >= 2
  scale = {"k": 1e3, "M": 1e6}
  values = [float(n.rstrip("kM")) * scale.get(n[-1], 1) for n in numbers]
  np.testing.assert_allclose(values, places, atol=gap / 50)


@pytest.mark.parametrize("last", [1, 2, 7, 99, 12_345, 10**7])
def test_steps_are_whole_numbers(last):
  places = ticks.steps(last)
  assert places[0] == 0 and places[-1] <= last
  assert (places == places.round()).all() and 2 <= len(places) <= 6
