"""Processes that die, and those that follow them."""

import os

import pytest

from hdc_jax.runtime.workers import Died, Workers


def square_or_die(number, mortal):
  if number in mortal:
    os._exit(1)
  return number**2


@pytest.mark.parametrize("mortal", [(0,), (3, 4, 5)])
def test_workers_keep_order_whoever_dies(mortal):
  mortal = frozenset(mortal)
  with Workers(square_or_die, 2) as workers:
    results = list(workers.map((i, mortal) for i in range(30)))
  assert [type(result) for result in results] == [
    Died if i in mortal else int for i in range(30)
  ]
  for i in set(range(30)) - mortal:
    assert results[i] == i**2


def test_workers_take_no_more_than_they_need():
  taken = []

  def calls():
    for i in range(100):
      taken.append(i)
      yield i, frozenset()

  with Workers(square_or_die, 2) as workers:
    results = workers.map(calls())
    assert next(results) == 0
    assert len(taken) <= 9
