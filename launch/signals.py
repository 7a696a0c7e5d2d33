"""Handling of Ctrl-C and the other signals that stop a launcher."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt() -> None:
  """Makes each of the signals raise KeyboardInterrupt."""
  for kind in _STOPS:
    signal.signal(kind, signal.default_int_handler)


@contextmanager
def ignored() -> Iterator[None]:
  """Ignores the signals, in this process and in commands that it starts."""
  before = [signal.signal(kind, signal.SIG_IGN) for kind in _STOPS]
  try:
    yield
  finally:
    for kind, handler in zip(_STOPS, before, strict=True):
      signal.signal(kind, handler)
