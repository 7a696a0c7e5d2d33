"""Runs the task of a config: pretrain a network, or evaluate one."""

import argparse
import os
from collections.abc import Sequence

import jax

from hdc_jax import tasks
from hdc_jax.config import flags
from hdc_jax.distributed import processes
from hdc_jax.errors import require
from hdc_jax.runtime import buckets, commands, logs
from hdc_jax.tasks import dry_run, preflight

_EXAMPLES = r"""examples:
  Pretrain as in the HDC paper on prepared shards:
    python -m hdc_jax.main --config=configs/r3d18.py \
      --config.data.path=/data/k400 --workdir=runs/k400

  Fine-tune that network on each of the three folds of UCF101:
    python -m hdc_jax.main --config=configs/r3d18.py:task=finetune \
      --config.data.path=/data/ucf101 --config.checkpoint=runs/k400 \
      --workdir=runs/k400-ucf101

  task=linear trains linear probes, task=retrieve searches nearest neighbours,
  task=embed writes features to files, task=preview draws what the network is
  shown.

  List the runs of Table 1 of the HDC paper, with estimates of their cost;
  without --dry_run, make the table:
    python -m hdc_jax.main --config=configs/tables.py:table=1 --dry_run \
      --config.pretrain.data.path=/data/k400 --config.ucf101=/data/ucf101

  Pretrain on two machines. Run this on the first, whose host name is a, and the
  same with --process=1 on the second. On a TPU slice, leave out --coordinator,
  --processes and --process:
    python -m hdc_jax.main --coordinator=a:1234 --processes=2 --process=0 \
      --config=configs/r3d18.py --config.data.path=/data/k400 --workdir=gs://…

Rerun a command to resume it. Any field of the config can be set on the command
line: --config.optim.lr=0.05. Exit codes are listed in hdc_jax/errors.py.
"""


def parse(argv: Sequence[str]) -> argparse.Namespace:
  """Parses a command line; `fields` gets the arguments that set config fields.

  Args:
    argv: Arguments of the command.
  """
  parser = commands.make_parser("python -m hdc_jax.main", __doc__, _EXAMPLES)
  flags.add_config(parser)
  parser.add_argument(
    "--workdir",
    metavar="DIR",
    default="",
    help="directory for the checkpoints, metrics and reports",
  )
  parser.add_argument(
    "--dry_run",
    action="store_true",
    help="print what would be run, and stop",
  )
  parser.add_argument(
    "--preflight",
    action="store_true",
    help="check devices, data and run directory, and that all processes have "
    "the same code and config, and stop; a run of several processes begins "
    "with these checks",
  )
  group = parser.add_argument_group(
    "several processes",
    "On a TPU slice, leave these out. Elsewhere, only --process differs\n"
    "between the commands of the processes.",
  )
  group.add_argument(
    "--coordinator",
    metavar="HOST:PORT",
    default=os.environ.get("HDC_COORDINATOR", ""),
    help="host of process 0, and a free port on it; 'auto' under Slurm or "
    "Open MPI; default: $HDC_COORDINATOR",
  )
  for name, what in (
    ("processes", "number of processes"),
    ("process", "number of this process, from 0"),
  ):
    variable = f"HDC_{name.upper()}"
    group.add_argument(
      f"--{name}",
      metavar="N",
      type=int,
      default=os.environ.get(variable),
      help=f"{what}; default: ${variable}",
    )
  options, options.fields = parser.parse_known_args(argv)
  return options


def main(argv: Sequence[str] | None = None) -> int:
  """Runs what the command line asks for.

  Args:
    argv: Arguments, by default those of the process.

  Returns:
    The exit code, see `errors`.
  """
  return commands.run(parse, _run, argv, part=processes.leave)


def _run(options: argparse.Namespace) -> None:
  """Does what the command line asks for."""
  config = flags.read_config(options.config, options.fields)
  # Report an error in the config before doing anything else.
  tasks.resolve(config, options.workdir)
  if options.dry_run:
    print(dry_run.describe(config, options.workdir))
    return
  require("--workdir", options.workdir, "name a directory for the run")
  buckets.check_access(options.workdir)
  tasks.check_workdir(config, options.workdir)
  processes.join(
    processes.Cluster(options.coordinator, options.processes, options.process)
  )
  if jax.process_index():
    logs.be_quiet(jax.process_index(), options.debug)
  if options.preflight or jax.process_count() > 1:
    print(preflight.check(config, options.workdir))
  if not options.preflight:
    tasks.task_of(config).execute(config, options.workdir)


if __name__ == "__main__":
  commands.leave(main())
