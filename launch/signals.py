"""Ctrl-C, and the other signals that stop a launcher."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt() -> None:
  """Has each of the signals raise a KeyboardInterrupt."""
  for kind in _STOPS:
    signal.signal(kind, signal.default_int_handler)


@contextmanager
def ignored() -> Iterator[None]:
  """Ignores the signals, here and in the commands that are run meanwhile."""
  before = [signal.signal(kind, signal.SIG_IGN) for kind in _STOPS]
  try:
    yield
  finally:
    for kind, handler in zip(_STOPS, before, strict=True):
      signal.signal(kind, handler)
