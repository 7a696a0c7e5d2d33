"""Log lines of the commands, and the silence of all processes but one."""

import contextlib
import io
import logging
import sys
from collections.abc import Iterator

from absl import logging as absl_logging

from hdc_jax.runtime.progress import Progress

_LOGGER = logging.getLogger("hdc_jax")


@contextlib.contextmanager
def shown(debug: bool) -> Iterator[None]:
  """Shows this package's log lines on stderr; of other packages only warnings.

  A context manager; afterwards, lines go where they went before.

  Args:
    debug: Whether lines of level DEBUG are shown too.
  """
  absl_logging.set_verbosity(absl_logging.WARNING)
  before = _LOGGER.handlers, _LOGGER.propagate, _LOGGER.level
  handlers: list[logging.Handler] = [logging.StreamHandler()]
  _LOGGER.handlers, _LOGGER.propagate = handlers, False
  _LOGGER.setLevel(logging.DEBUG if debug else logging.INFO)
  _set_format("")
  try:
    yield
  finally:
    _LOGGER.handlers, _LOGGER.propagate = before[:2]
    _LOGGER.setLevel(before[2])


def be_quiet(process: int, debug: bool) -> None:
  """Lets a process that is not the first say no more than what is wrong.

  Args:
    process: Number of this process, which its log lines then begin with.
    debug: Whether it logs everything nevertheless.
  """
  if not debug:
    _LOGGER.setLevel(logging.WARNING)
  _set_format(f"[{process}] ")
  sys.stdout = io.StringIO()
  Progress.shown = False


def _set_format(prefix: str) -> None:
  line = f"{prefix}%(asctime)s %(levelname).1s %(message)s"
  for handler in _LOGGER.handlers:
    handler.setFormatter(logging.Formatter(line, "%H:%M:%S"))
