"""Prints the SkyPilot task of a run.

SkyPilot finds a slice and runs the task on all hosts. As a managed job, the
task is also recovered. SkyPilot copies `launch/host.sh` from the current
directory.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from hdc_jax.errors import ConfigError
from hdc_jax.runtime import commands
from launch import outcomes, slice_run
from launch.gke import render
from launch.slice_run import SliceRun

_EXAMPLES = r"""example:
  python -m launch.skypilot --name=k400-hdc --slice=v5e:16x16 --capacity=spot \
    --zone=us-west4-a \
    --code=https://github.com/me/hdc-jax.git@0123…full…commit -- \
    --config=configs/r3d18.py --config.data.path=gs://my-bucket/k400 \
    --config.data.batch_size=4096 \
    --workdir=gs://my-bucket/runs/k400-hdc > k400-hdc.yaml

  sky jobs launch k400-hdc.yaml

It goes on after exit codes 5, 6, 8, 134, 137 and 143, and a lost slice.
SkyPilot has no limit for that, so --retries has no effect. The task is printed
with or without --dry_run.
"""

_CAPACITY = {"on-demand": False, "spot": True}


def task(run: SliceRun) -> dict[str, Any]:
  """Makes the SkyPilot task of a run.

  Args:
    run: The run.

  Raises:
    ConfigError: If a task of SkyPilot cannot choose such a capacity, or join
      slices.
  """
  if run.slice.count > 1:
    raise ConfigError(
      f"--slice: SkyPilot does not join {run.slice.count} slices: use "
      "launch.tpu_vm or launch.gke"
    )
  if run.capacity not in _CAPACITY:
    raise ConfigError(
      f"--capacity={run.capacity}: SkyPilot takes reservations from its own "
      f"configuration; choose from {', '.join(_CAPACITY)}"
    )
  region = run.zone.rpartition("-")[0]
  return {
    "name": run.name,
    "resources": {
      "infra": f"gcp/{region}/{run.zone}",
      "accelerators": f"tpu-{run.slice.accelerator_type}:1",
      "accelerator_args": {
        "runtime_version": run.slice.generation.runtime_version
      },
      "use_spot": _CAPACITY[run.capacity],
      "job_recovery": {
        "recover_on_exit_codes": [*outcomes.AGAIN, *outcomes.KILLED]
      },
    },
    "envs": {"HDC_CODE": run.code, "HDC_WORDS": run.encoded_words},
    "file_mounts": {"~/host.sh": "launch/host.sh"},
    "setup": "bash ~/host.sh setup",
    "run": "bash ~/host.sh run",
  }


def main(argv: Sequence[str] | None = None) -> int:
  """Prints the task of the run on the command line.

  Args:
    argv: Arguments, by default those of the process.

  Returns:
    The exit code.
  """
  return commands.run(_parse, _run, argv)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = slice_run.make_parser(
    "python -m launch.skypilot", __doc__, _EXAMPLES
  )
  return slice_run.parse(parser, argv)


def _run(flags: argparse.Namespace) -> None:
  print(render([task(flags.run)]), end="")


if __name__ == "__main__":
  commands.leave(main())
