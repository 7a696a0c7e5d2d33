"""Evaluation by several real processes: every clip once, all of one mind."""

import numpy as np
import pytest

from tests import hosts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def found(prepared, tmp_path_factory):
  """What each process found, by how many there are."""
  output = tmp_path_factory.mktemp("hosts")
  runs = {}
  # Of 6 videos, 4 processes have 2, 2, 1 and 1.
  for processes in (1, 4):
    name = output / str(processes)
    hosts.launch(
      "tests.evaluate.encode_on_hosts",
      processes,
      4 // processes,
      prepared,
      name,
    )
    files = [f"{name}-{index}.npz" for index in range(processes)]
    runs[processes] = [dict(np.load(file)) for file in files]
  return runs


def test_processes_do_not_change_what_is_found(found):
  (want,) = found[1]
  # Of the 6 videos one is left out; others have several scenes.
  assert len(want["ids"]) > len(set(want["ids"])) == 5
  assert len({tuple(address) for address in want["segments"]}) == len(
    want["ids"]
  )
  for got in found[4]:
    for name in ("ids", "segments", "accuracies", "left_out"):
      np.testing.assert_array_equal(got[name], want[name])
    for name in ("features", "kernel"):
      np.testing.assert_allclose(got[name], want[name], rtol=1e-3, atol=1e-4)
    assert np.mean(got["indices"] == want["indices"]) > 0.9


def test_all_processes_stop_if_one_has_too_many_bad_videos(found):
  for each in (each for processes in found.values() for each in processes):
    assert len(each["left_out"]) == 1
    assert "could not be decoded, more than config.test.max_bad=0:" in str(
      each["stopped"]
    )


def test_all_processes_know_the_same(found):
  for first, *others in found.values():
    for other in others:
      for name in first:
        np.testing.assert_array_equal(first[name], other[name])
