"""Runs the task of a config: pretrain a network, or evaluate one.

What takes long to import, above all JAX, is imported by `parse`, in which a
signal ends the command in one line, as at any later time.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from hdc_jax.runtime import commands

_TITLE = "Runs the task of a config: pretrain a network, or evaluate one."
_EXAMPLES = r"""examples:
  Pretrain as in the HDC paper on prepared shards:
    python -m hdc_jax.main --config=configs/r3d18.py \
      --config.data.path=/data/k400 --workdir=runs/k400

  Fine-tune that network on each of the three folds of UCF101:
    python -m hdc_jax.main --config=configs/r3d18.py:task=finetune \
      --config.data.path=/data/ucf101 --config.checkpoint=runs/k400 \
      --workdir=runs/k400-ucf101

  task=linear trains linear probes and task=attentive attentive ones,
  task=retrieve searches nearest neighbours, task=bias tests whether features
  show the scene or the motion (it encodes the test videos seven times),
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

  Show the run in TensorBoard and Weights & Biases, see docs/trackers.md:
    python -m hdc_jax.main --config=configs/r3d18.py … \
      --config.train.trackers="('tensorboard','wandb')"

Rerun a command to resume it. Any field of the config can be set on the command
line: --config.optim.lr=0.05. Exit codes are listed in hdc_jax/errors.py.
"""


def parse(argv: Sequence[str]) -> argparse.Namespace:
  """Parses a command line; `fields` gets the arguments that set config fields.

  Args:
    argv: Arguments of the command.
  """
  from hdc_jax.config import flags

  parser = commands.make_parser("python -m hdc_jax.main", _TITLE, _EXAMPLES)
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
    "the same code and config, measure the loader, and stop; a run of several "
    "processes begins with these checks",
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
  return commands.run(parse, _run, argv, part=_leave)


def _run(options: argparse.Namespace) -> None:
  """Does what the command line asks for."""
  import jax

  from hdc_jax import tasks
  from hdc_jax.config import flags
  from hdc_jax.distributed import compile_cache, failures, processes
  from hdc_jax.runtime import logs, watchdog
  from hdc_jax.tasks import dry_run, execution, preflight

  config = flags.read_config(options.config, options.fields)
  if options.dry_run:
    tasks.resolve(config, options.workdir)
    print(dry_run.describe(config, options.workdir))
    return
  execution.check(config, options.workdir)
  processes.join(
    processes.Cluster(options.coordinator, options.processes, options.process)
  )
  if jax.process_index():
    logs.be_quiet(jax.process_index(), options.debug)
  compile_cache.enable()
  with watchdog.limited("the run", watchdog.START_SECONDS), failures.as_lost():
    if options.preflight:
      print(preflight.check(config, options.workdir, measured=True))
    else:
      execution.execute(config, options.workdir)


def _leave(code: int, line: str) -> bool:
  """Waits for the other processes of the run, see `processes.leave`."""
  if "jax" not in sys.modules:  # it has not come so far
    return True
  from hdc_jax.distributed import processes

  return processes.leave(code, line)


if __name__ == "__main__":
  commands.leave(main())
