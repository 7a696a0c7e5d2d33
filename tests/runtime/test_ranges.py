"""Ranges are read whole, and tried again where that may help."""

import threading

import pytest

from hdc_jax.errors import ConfigError, StorageError
from hdc_jax.runtime import ranges
from tests.bucket import Bucket

PATH = "gs://b/data/object"
CONTENT = bytes(range(200))


@pytest.fixture
def waits(buckets, monkeypatch):
  """An object in a bucket; gets the seconds that are waited for it."""
  path = buckets / "b" / "data" / "object"
  path.parent.mkdir(parents=True)
  path.write_bytes(CONTENT)
  found = []
  monkeypatch.setattr(
    ranges.random, "uniform", lambda low, high: found.append((low, high)) or 0
  )
  return found


def read(start, stop, given_up=None):
  return ranges.read(PATH, start, stop, given_up or threading.Event())


def fail(monkeypatch, errors):
  """Has the first reads raise these errors; a number: cut by so many bytes."""
  cat, left = Bucket.cat_file, list(errors)

  def failing(self, path, start=None, end=None, **options):
    data = cat(self, path, start=start, end=end, **options)
    if not left:
      return data
    error = left.pop(0)
    if isinstance(error, int):
      return data[:-error]
    raise error

  monkeypatch.setattr(Bucket, "cat_file", failing)
  return left


def test_a_range(waits):
  assert read(0, 200) == CONTENT
  assert read(7, 9) == CONTENT[7:9]
  assert not waits


@pytest.mark.parametrize(
  "error",
  [
    OSError("429 Too Many Requests"),
    RuntimeError("503, SlowDown"),
    TimeoutError("timed out"),
    ConnectionResetError("reset"),
    3,
  ],
)
def test_what_may_pass_is_tried_again(waits, monkeypatch, error):
  left = fail(monkeypatch, [error] * 4)
  assert read(10, 60) == CONTENT[10:60]
  assert not left
  assert len(waits) == 4


def test_waits_double_up_to_a_random_factor(waits, monkeypatch):
  fail(monkeypatch, [OSError("503")] * 100)
  with pytest.raises(StorageError, match=r"^gs://b/data/object: .* 503$"):
    read(0, 10)
  lows, highs = zip(*waits, strict=True)
  assert set(lows) == {0}
  first, most = ranges._FIRST_SECONDS, ranges._MOST_SECONDS
  assert list(highs) == [min(first * 2**i, most) for i in range(len(highs))]
  # Longer than clients try, and shorter than a step may take.
  assert 20 < sum(highs) < 300


def test_when_one_range_is_given_up_no_other_is_tried_again(waits, monkeypatch):
  left = fail(monkeypatch, [OSError("503")] * 100)
  given_up = threading.Event()
  with pytest.raises(StorageError):
    read(0, 10, given_up)
  assert given_up.is_set()
  before = len(left)
  with pytest.raises(StorageError):
    read(10, 20, given_up)
  assert before - len(left) == 1


def test_short_answers_are_an_error_in_the_end(waits, monkeypatch):
  fail(monkeypatch, [2] * 100)
  with pytest.raises(StorageError, match="the storage sent 8 of 10 bytes"):
    read(0, 10)


@pytest.mark.parametrize(
  ("error", "kind"),
  [
    (PermissionError("expired"), ConfigError),
    (FileNotFoundError("gone"), FileNotFoundError),
  ],
)
def test_what_does_not_pass_is_not_tried_again(waits, monkeypatch, error, kind):
  left = fail(monkeypatch, [error] * 2)
  with pytest.raises(kind):
    read(0, 10)
  assert len(left) == 1
  assert not waits
