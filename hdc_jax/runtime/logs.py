"""Log lines of the commands, and the silence of all processes but one."""

import contextlib
import io
import logging
import sys
from collections.abc import Iterator

from absl import logging as absl_logging

from hdc_jax.runtime import redaction
from hdc_jax.runtime.progress import Progress

_LOGGER = logging.getLogger("hdc_jax")


@contextlib.contextmanager
def shown(debug: bool) -> Iterator[None]:
  """Shows this package's log lines on stderr; of other packages only warnings.

  Orbax logs a failure with several tracebacks before it raises it, and leaves
  other files of it in threads and tasks, of which asyncio says the same again:
  their lines are shown at level DEBUG only.

  A context manager; afterwards, lines go where they went before.

  Args:
    debug: Whether lines of level DEBUG are shown too.
  """
  absl_logging.set_verbosity(absl_logging.WARNING)
  loggers = (absl_logging.get_absl_logger(), logging.getLogger("asyncio"))

  def is_shown(record: logging.LogRecord) -> bool:
    repeated = "exception was never retrieved" in str(record.msg)
    return debug or not (repeated or "orbax" in record.pathname)

  def show_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    if debug or "Event loop is closed" not in str(unraisable.exc_value):
      unraisable_hook(unraisable)

  unraisable_hook, sys.unraisablehook = sys.unraisablehook, show_unraisable
  for logger in loggers:
    logger.addFilter(is_shown)
  before = _LOGGER.handlers, _LOGGER.propagate, _LOGGER.level
  handlers: list[logging.Handler] = [logging.StreamHandler()]
  _LOGGER.handlers, _LOGGER.propagate = handlers, False
  _LOGGER.setLevel(logging.DEBUG if debug else logging.INFO)
  _set_format("")
  try:
    yield
  finally:
    for logger in loggers:
      logger.removeFilter(is_shown)
    sys.unraisablehook = unraisable_hook
    _LOGGER.handlers, _LOGGER.propagate = before[:2]
    _LOGGER.setLevel(before[2])


@contextlib.contextmanager
def silent() -> Iterator[None]:
  """Shows neither log lines nor progress nor results, but warnings alone."""
  before, Progress.shown = Progress.shown, False
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    Progress.shown = before


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


class _Formatter(logging.Formatter):
  """Formats lines, without the secrets in them."""

  def format(self, record: logging.LogRecord) -> str:
    return redaction.redact(super().format(record))


def _set_format(prefix: str) -> None:
  line = f"{prefix}%(asctime)s %(levelname).1s %(message)s"
  for handler in _LOGGER.handlers:
    handler.setFormatter(_Formatter(line, "%H:%M:%S"))
