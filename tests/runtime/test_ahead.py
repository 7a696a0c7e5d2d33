"""Iterators that wait for a process that has ended, as Grain's do."""

import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time

import pytest

from hdc_jax.errors import DataError, Lost
from hdc_jax.runtime import ahead

ENDS = {
  "by itself": (lambda: sys.exit(0), DataError, "ended with code 0 and no"),
  "at once": (lambda: os._exit(0), DataError, "ended with code 0 and no"),
  "with a code": (lambda: os._exit(7), DataError, "ended with code 7"),
  "killed": (
    lambda: os.kill(os.getpid(), signal.SIGKILL),
    Lost,
    "was killed by SIGKILL, perhaps as memory ran out: rerun",
  ),
  "crashed": (
    lambda: os.kill(os.getpid(), signal.SIGSEGV),
    DataError,
    "was ended by SIGSEGV: a video may crash",
  ),
}


def count(pipe, end):
  """Sends three numbers, and ends."""
  for number in range(3):
    pipe.send(number)
  if end:
    ENDS[end][0]()
  pipe.send(StopIteration())
  pipe.recv()


class Numbers:
  """The numbers of a process, for which it waits without end."""

  def __init__(self, end=None):
    self.end, self.process = end, None

  def __next__(self):
    if self.process is None:
      context = multiprocessing.get_context("spawn")
      self.pipe, other = context.Pipe()
      self.process = context.Process(target=count, args=(other, self.end))
      self.process.start()
    try:
      value = self.pipe.recv()
    except (EOFError, OSError):
      while self.process is not None:
        time.sleep(0.1)
      raise
    if isinstance(value, Exception):
      raise value
    return value

  def close(self):
    while self.process.exitcode == 0:  # it waits for threads that wait for it
      time.sleep(0.1)
    self.process.kill()
    self.process.join()
    self.process = None


def test_elements_come_in_order():
  numbers = Numbers()
  assert list(ahead.read(numbers, 1)) == [0, 1, 2]
  assert numbers.process is None


def test_it_can_be_left_before_the_end():
  numbers = Numbers()
  read = ahead.read(numbers, 1)
  assert next(read) == 0
  read.close()
  assert numbers.process is None


@pytest.mark.parametrize("end", ENDS)
def test_a_process_that_ends_is_an_error_at_once(end):
  read = ahead.read(Numbers(end), 1)
  _, kind, message = ENDS[end]
  start = None
  with pytest.raises(kind, match=message):
    for _ in read:
      start = time.monotonic()
  assert start is None or time.monotonic() - start < 5.0


def test_a_process_that_was_never_seen_is_not_waited_for(monkeypatch):
  class Unseen(Numbers):
    """What has started processes that ended before anybody looked."""

    def __next__(self):
      self.left = threading.Event()
      self.left.wait()

    def close(self):
      self.left.set()

  monkeypatch.setattr(ahead, "_STARTING_SECONDS", 0.1)
  with pytest.raises(DataError, match="ended as soon as they had started"):
    next(ahead.read(Unseen(), 1))


def test_the_error_of_an_element_is_what_it_says():
  """Even if the process has ended in good order after it."""

  class Failing(Numbers):
    def __next__(self):
      number = super().__next__()
      if number == 1:
        self.process.terminate()
        raise DataError("video 1 is damaged")
      return number

  with pytest.raises(DataError, match="video 1 is damaged"):
    list(itertools.islice(ahead.read(Failing(), 0), 9))
