r"""Runs the task of a config: pretrain a network, or evaluate one.

Examples:
  Pretrain as in the HDC paper on prepared shards:
    python -m hdc_jax.main --config=configs/r3d18.py \
      --config.data.path=/data/k400 --workdir=runs/k400

  Measure nearest-neighbour retrieval of what was learned:
    python -m hdc_jax.main --config=configs/r3d18.py:task=retrieve \
      --config.data.path=/data/ucf101 --config.checkpoint=runs/k400 \
      --workdir=runs/k400-retrieval

Rerun a command to resume it. Any field of the config can be set on the command
line: --config.optim.lr=0.05. Exit codes are listed in hdc_jax/errors.py.
"""

import logging
import re
import sys
from collections.abc import Sequence

import ml_collections
from absl import flags
from absl import logging as absl_logging
from ml_collections import config_flags

from hdc_jax import config as config_lib
from hdc_jax import pretrain, retrieve
from hdc_jax.errors import ConfigError, HdcError

TASKS = {"pretrain": pretrain.run, "retrieve": retrieve.run}

_log = logging.getLogger("hdc_jax.main")

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file(
  "config",
  None,
  "Config file, with its arguments after a colon: "
  "configs/tiny.py:task=retrieve. Set any field: --config.data.path=DIR.",
)
flags.DEFINE_string(
  "workdir", None, "Where checkpoints, metrics and reports go."
)

flags.DEFINE_bool(
  "debug", False, "Log more, such as the ids in a batch; show tracebacks."
)


def parse(argv: Sequence[str]) -> tuple[ml_collections.ConfigDict, str]:
  """The config and the working directory that the command line asks for.

  Raises:
    ConfigError: If a flag, the file or a field is missing, unknown or mistyped.
  """
  try:
    others = FLAGS(argv)
  except flags.Error as error:
    # An error within a config file arrives as its whole traceback.
    text = str(error).strip().splitlines()[-1]
    raise ConfigError(
      f"{text.split('ConfigError: ')[-1]}; see --help"
    ) from error
  except (AttributeError, KeyError):
    check_fields(argv)
    raise
  config_lib.require("--config", FLAGS.config, "name a file in configs/")
  if not isinstance(FLAGS.config, ml_collections.ConfigDict):
    raise ConfigError(
      f"--config: cannot read {FLAGS['config'].config_filename}"
    )
  config_lib.require("--workdir", FLAGS.workdir, "name a directory for the run")
  if others[1:]:
    raise ConfigError(f"unexpected argument {others[1]!r}; see --help")
  return FLAGS.config, FLAGS.workdir


def check_fields(argv: Sequence[str]) -> None:
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
  handler = logging.StreamHandler()
  handler.setFormatter(
    logging.Formatter("%(asctime)s %(levelname).1s %(message)s", "%H:%M:%S")
  )
  logger = logging.getLogger("hdc_jax")
  logger.handlers = [handler]
  logger.propagate = False
  logger.setLevel(logging.DEBUG if debug else logging.INFO)


def main(argv: Sequence[str]) -> int:
  """Runs what the command line asks for.

  Returns:
    The exit code, see `errors`.
  """
  set_up_logging("--debug" in argv)
  if {"--help", "-h"} & set(argv):
    print(f"{__doc__}\nFlags:\n{FLAGS.main_module_help()}")
    return 0
  try:
    config, workdir = parse(argv)
    task = config_lib.choose("config.task", config.task, TASKS)
    task(config, workdir)
  except HdcError as error:
    _log.debug("where it was raised:", exc_info=True)
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv))
