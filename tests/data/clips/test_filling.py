"""Batches are filled by all threads at once, within a bound of bytes."""

import threading
import time

import grain
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdc_jax.data.clips import filling
from hdc_jax.data.options import Loading
from hdc_jax.errors import DataError

SHAPES = {"x": ((100,), np.dtype(np.uint8))}


class Element(grain.transforms.Map):
  """An element of 100 bytes with a name, which tells that it is begun."""

  def __init__(self, begin):
    self.begin = begin

  def map(self, element):
    self.begin(int(element))
    x = np.full(100, element % 256, np.uint8)
    return {"x": x, "name": np.array("n" * (element % 5))}


def batches(begin, size, threads):
  return filling.fill_batches(
    grain.MapDataset.range(100_000).map(Element(begin)),
    size,
    SHAPES,
    Loading(threads=threads),
  )


def wait_for_threads():
  """Waits until the threads of all closed pools are gone."""
  for thread in threading.enumerate():
    if thread.name.startswith("fill"):
      thread.join(30.0)
      assert not thread.is_alive()


def settle(begun, count):
  """Checks that so many elements are begun in time, and then no more."""
  deadline = time.monotonic() + 30.0
  while len(begun) < count and time.monotonic() < deadline:
    time.sleep(0.01)
  time.sleep(0.2)
  assert len(begun) == count


@pytest.mark.parametrize("size", [1, 3, 64])
def test_elements_are_in_their_places(size):
  read = batches(lambda _: None, size, threads=5)
  for first in range(0, 5 * size, size):
    batch, places = next(read), range(first, first + size)
    want = [[i % 256] * 100 for i in places]
    np.testing.assert_array_equal(batch["x"], want)
    # Names have a length for each element.
    assert batch["name"].tolist() == ["n" * (i % 5) for i in places]
  read.close()


@pytest.mark.parametrize("size", [2, 4, 64])
def test_all_threads_work_at_the_batches_that_are_due(size):
  """Four elements wait for each other, of one batch or of two."""
  meeting = threading.Barrier(4, timeout=30.0)
  read = batches(lambda i: meeting.wait() if i < 4 else None, size, threads=4)
  np.testing.assert_array_equal(next(read)["x"][:, 0], range(size))
  read.close()


def test_a_batch_is_begun_before_the_next():
  begun = []
  elements = grain.MapDataset.range(100).map(Element(begun.append))
  filled = filling.Filled(elements, 20, SHAPES, threads=1)
  for index in (1, 0):
    filled[index]
  assert begun == [*range(20, 40), *range(20)]
  filled.close()


@pytest.mark.parametrize("size", [1, 8])
def test_what_is_read_ahead_is_bounded_in_bytes(size, monkeypatch):
  monkeypatch.setattr(filling, "_READ_AHEAD_BYTES", 500)
  begun = []
  read = batches(begun.append, size, threads=16)
  next(read)
  # Five elements or two batches ahead, besides the batch that was taken.
  settle(begun, size + max(5, 2 * size))
  read.close()


def test_elements_of_evaluations_are_bounded_in_bytes(monkeypatch):
  monkeypatch.setattr(filling, "_READ_AHEAD_BYTES", 500)
  begun = []
  elements = grain.MapDataset.range(1000).map(Element(begun.append))
  read = filling.read_ahead(elements, 100, Loading(threads=16))
  next(read)
  settle(begun, 1 + 5)
  read.close()


def test_closing_leaves_what_is_not_begun():
  """Elements of the second batch wait until all is closed."""
  begun, closed = [], threading.Event()

  def begin(element):
    begun.append(element)
    if element >= 10:
      assert closed.wait(30.0)

  read = batches(begin, 10, threads=2)
  next(read)
  read.close()
  closed.set()
  wait_for_threads()
  assert len(begun) <= 10 + 2


def test_an_error_of_an_element_is_raised():
  def begin(element):
    if element == 5:
      raise DataError("video 5 is damaged")

  read = batches(begin, 4, threads=3)
  assert next(read)["x"][:, 0].tolist() == [0, 1, 2, 3]
  with pytest.raises(DataError, match="video 5 is damaged"):
    next(read)
  wait_for_threads()


@given(st.integers(1, 600), st.integers(1, 1 << 28), st.integers(1, 8))
def test_two_parts_of_each_worker_fit(size, element_bytes, workers):
  def fits(part):
    return 2 * part * element_bytes * workers <= 2 << 30

  part = filling.part_of(size, element_bytes, workers)
  divisors = [n for n in range(1, size + 1) if size % n == 0]
  assert part == max(filter(fits, divisors), default=1)


@given(st.integers(1, 600), st.integers(1, 1 << 28))
def test_one_process_fills_whole_batches(size, element_bytes):
  assert filling.part_of(size, element_bytes, workers=0) == size
