"""Ctrl-C, and the signals that say the same."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt() -> None:
  """Each of them raises a KeyboardInterrupt."""
  for kind in _STOPS:
    signal.signal(kind, signal.default_int_handler)


@contextmanager
def ignored() -> Iterator[None]:
  """They are ignored, by the commands that are run as well."""
  before = [signal.signal(kind, signal.SIG_IGN) for kind in _STOPS]
  try:
    yield
  finally:
    for kind, handler in zip(_STOPS, before, strict=True):
      signal.signal(kind, handler)
