"""Runs the task of a config: pretrain a network, or evaluate one."""

import argparse
import logging
import sys
from collections.abc import Sequence

from hdc_jax import (
  command,
  dry_run,
  embed,
  finetune,
  linear,
  pretrain,
  preview,
  retrieve,
  tables,
)
from hdc_jax import config as config_lib
from hdc_jax.errors import HdcError

TASKS = {
  "pretrain": pretrain.run,
  "finetune": finetune.run,
  "linear": linear.run,
  "retrieve": retrieve.run,
  "embed": embed.run,
  "tables": tables.run,
  "preview": preview.run,
}

_EXAMPLES = r"""examples:
  Pretrain as in the HDC paper on prepared shards:
    python -m hdc_jax.main --config=configs/r3d18.py \
      --config.data.path=/data/k400 --workdir=runs/k400

  Fine-tune what was learned on UCF101, its three splits in turn:
    python -m hdc_jax.main --config=configs/r3d18.py:task=finetune \
      --config.data.path=/data/ucf101 --config.checkpoint=runs/k400 \
      --workdir=runs/k400-ucf101

  task=linear trains linear probes, task=retrieve searches nearest neighbours,
  task=embed writes features to files, task=preview a picture of what the
  network is shown.

  Make Table 1 of the HDC paper; --dry_run says what that takes:
    python -m hdc_jax.main --config=configs/tables.py:table=1 --dry_run \
      --config.pretrain.data.path=/data/k400 --config.ucf101=/data/ucf101

Rerun a command to resume it. Any field of the config can be set on the command
line: --config.optim.lr=0.05. Exit codes are listed in hdc_jax/errors.py.
"""

_log = logging.getLogger("hdc_jax.main")


def _parser() -> argparse.ArgumentParser:
  parser = command.make_parser("python -m hdc_jax.main", __doc__, _EXAMPLES)
  parser.add_argument(
    "--workdir",
    metavar="DIR",
    default="",
    help="where checkpoints, metrics and reports go",
  )
  parser.add_argument(
    "--dry_run",
    action="store_true",
    help="print what would be run, and stop",
  )
  parser.add_argument(
    "--debug",
    action="store_true",
    help="log more, such as the ids in a batch; show tracebacks",
  )
  return parser


def main(argv: Sequence[str] | None = None) -> int:
  """Runs what the command line asks for.

  Args:
    argv: Arguments, by default those of the process.

  Returns:
    The exit code, see `errors`.
  """
  options, rest = _parser().parse_known_args(argv)
  command.set_up_logging(options.debug)
  try:
    config = command.read_config(options.config, rest)
    task = config_lib.choose("config.task", config.task, TASKS)
    if options.dry_run:
      print(dry_run.describe(config, options.workdir))
      return 0
    config_lib.require(
      "--workdir", options.workdir, "name a directory for the run"
    )
    task(config, options.workdir)
  except HdcError as error:
    _log.debug("where it was raised:", exc_info=True)
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code
  return 0


if __name__ == "__main__":
  sys.exit(main())
