"""A run that waits for its videos says so once, with a remedy."""

import pytest

from hdc_jax.data.options import Loading
from hdc_jax.train import bottleneck


@pytest.fixture
def clock(monkeypatch):
  """Seconds that only the test lets go by, on a host of 16 idle cores."""
  now = [100.0]
  monkeypatch.setattr(bottleneck.time, "monotonic", lambda: now[0])
  monkeypatch.setattr(bottleneck.os, "getloadavg", lambda: (2.0, 0, 0))
  monkeypatch.setattr(bottleneck, "cores", lambda: 16)
  return now


def test_it_is_said_once_and_not_at_the_beginning(clock):
  watched = bottleneck.Bottleneck(Loading(threads=4), "h264")
  assert watched.judge(0.9) == ""
  clock[0] += 59
  assert watched.judge(0.5) == ""
  clock[0] += 2
  assert watched.judge(0.09) == ""
  said = watched.judge(0.25)
  assert said.startswith("steps wait for videos for 25% of the time: raise ")
  clock[0] += 1000
  assert watched.judge(0.9) == ""


@pytest.mark.parametrize(
  ("threads", "workers", "codec", "busy", "cores", "want"),
  [
    (16, 0, "original", 2, 16, "hdc_jax.prepare"),
    (16, 0, "h264", 15, 16, "all 16 cores of this host are busy"),
    (16, 4, "raw", 64, 64, "all 64 cores of this host are busy"),
    (4, 0, "h264", 2, 16, "raise config.data.threads=4: there are 16 cores"),
    (16, 0, "h264", 8, 16, "set config.data.workers=6"),
    (16, 2, "h264", 16, 208, "raise config.data.threads=16"),
    (64, 4, "h264", 60, 208, "set config.data.workers=70"),
    (16, 6, "h264", 4, 16, "the disk or the network is slow"),
    (16, 0, "h264", 1, 2, "the disk or the network is slow"),
  ],
)
def test_remedies(threads, workers, codec, busy, cores, want):
  loading = Loading(threads=threads, workers=workers)
  assert want in bottleneck.remedy(loading, codec, busy, cores)


def test_the_cores_are_those_of_this_process():
  assert 1 <= bottleneck.cores() <= 4096
