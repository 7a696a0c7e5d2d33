"""Log lines of the commands, and the silence of all processes but one."""

import io
import logging
import sys

from absl import logging as absl_logging

from hdc_jax.runtime.progress import Progress


def set_up(debug: bool) -> None:
  """Sends this package's log lines to stderr; of others only warnings."""
  absl_logging.set_verbosity(absl_logging.WARNING)
  logger = logging.getLogger("hdc_jax")
  logger.handlers = [logging.StreamHandler()]
  logger.propagate = False
  logger.setLevel(logging.DEBUG if debug else logging.INFO)
  _set_format("")


def be_quiet(process: int, debug: bool) -> None:
  """Lets a process that is not the first say no more than what is wrong.

  Args:
    process: Its number, which its log lines then begin with.
    debug: Whether it logs everything nevertheless.
  """
  if not debug:
    logging.getLogger("hdc_jax").setLevel(logging.WARNING)
  _set_format(f"[{process}] ")
  sys.stdout = io.StringIO()
  Progress.shown = False


def _set_format(prefix: str) -> None:
  line = f"{prefix}%(asctime)s %(levelname).1s %(message)s"
  for handler in logging.getLogger("hdc_jax").handlers:
    handler.setFormatter(logging.Formatter(line, "%H:%M:%S"))
