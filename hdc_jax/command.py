"""What the commands that take a config have in common."""

import argparse
import io
import logging
import re
import sys
from collections.abc import Sequence

import ml_collections
from absl import flags
from absl import logging as absl_logging
from ml_collections import config_flags

from hdc_jax import config as config_lib
from hdc_jax.errors import ConfigError
from hdc_jax.progress import Progress


def make_parser(
  prog: str, description: str | None, examples: str
) -> argparse.ArgumentParser:
  """The parser of a command that takes a config, to add its options to."""
  parser = argparse.ArgumentParser(
    prog=prog,
    description=description,
    epilog=examples,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  add_config(parser)
  return parser


def add_config(parser: argparse.ArgumentParser) -> None:
  """Adds `--config` to what a command takes and explains.

  Its fields are left over by `parse_known_args`, for `read_config`.
  """
  parser.add_argument(
    "--config",
    metavar="FILE",
    default="",
    help="config file, with its arguments after a colon: "
    "configs/tiny.py:task=retrieve; any field of it can be set: "
    "--config.data.path=DIR",
  )


def read_config(file: str, fields: Sequence[str]) -> ml_collections.ConfigDict:
  """The config of a command line.

  Args:
    file: What `--config` names.
    fields: Arguments like `--config.optim.lr=0.05`.

  Raises:
    ConfigError: If there are others, or the file or a field is missing,
      unknown or mistyped.
  """
  argv = ["", *([f"--config={file}"] if file else []), *fields]
  values = flags.FlagValues()
  config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=argv)
  try:
    _, *others = values(argv)
  except flags.Error as error:
    # An error within a config file arrives as its whole traceback.
    text = str(error).strip().splitlines()[-1]
    raise ConfigError(
      f"{text.split('ConfigError: ')[-1]}; see --help"
    ) from error
  except (AttributeError, KeyError):
    _check_fields(argv)
    raise
  config = values.config
  config_lib.require("--config", config, "name a file in configs/")
  if not isinstance(config, ml_collections.ConfigDict):
    raise ConfigError(
      f"--config: cannot read {values['config'].config_filename}"
    )
  if others:
    raise ConfigError(f"unexpected argument {others[0]!r}; see --help")
  return config


def _check_fields(argv: Sequence[str]) -> None:
  """Raises a ConfigError on `--config.field` if the config has no such field.

  The flag library knows that something is wrong, but not what there is instead.
  """
  plain = flags.FlagValues()
  config_flags.DEFINE_config_file("config", flag_values=plain, sys_argv=[])
  fields = [re.match(r"--?config\.([\w.]+)", arg) for arg in argv]
  others = [arg for arg, m in zip(argv, fields, strict=True) if not m]
  plain(others, known_only=True)
  config_lib.check_fields(plain.config, (m[1] for m in fields if m))


def set_up_logging(debug: bool) -> None:
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
