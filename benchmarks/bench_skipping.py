"""What skipping steps that are not finite adds to the cost of a step.

The step, and the same step without that guard, are timed in turn, so that other
load affects both alike.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any
from unittest import mock

from benchmarks import bench_step, measure
from hdc_jax.config import flags
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.runtime import commands
from hdc_jax.tasks.pretrain import Learning, WithoutData
from hdc_jax.train import step as step_lib
from hdc_jax.train.training import Training

_EXAMPLES = """\
examples:
  python -m benchmarks.bench_skipping --config=configs/tiny.py
"""


def without_guard(training: Training, seed: int) -> step_lib.TrainStep:
  """Makes the step of a training that keeps whatever a step leads to.

  Args:
    training: The training, in one microbatch.
    seed: Seed of the augmentations.
  """

  def update(*arguments: Any) -> Any:
    state, metrics, pairs = training.update(*arguments)
    # What nothing depends on is not computed.
    kept = {name: x for name, x in metrics.items() if name != "skipped"}
    return state, kept, pairs

  views, mesh = training.objective.views, training.mesh
  return step_lib.make_train_step(update, views, mesh, seed)


def measure_guard(learning: Learning, repeats: int) -> dict[str, Any]:
  """Times a step with and without the guard, in turn.

  Args:
    learning: Options of the pretraining, the batch size included.
    repeats: Number of timed runs of each.

  Returns:
    The record that --json writes. `ratio` is the median over pairs of runs in
    turn of the time with the guard over that without it.

  Raises:
    ConfigError: If the configuration is invalid.
  """
  learning = dataclasses.replace(
    learning, train=dataclasses.replace(learning.train, microbatches=1)
  )
  training = learning.make_training(mesh_lib.make_mesh())
  clips = bench_step.random_clips(learning, training.objective.starts.clips)
  guarded = bench_step.compile_step(training, training.train_step, clips)
  with mock.patch.object(step_lib, "updated_if", lambda finite, old, new: new):
    plain = bench_step.compile_step(
      training, without_guard(training, learning.seed.seed), clips
    )
  times = measure.alternate(
    {"guarded": guarded.run, "without": plain.run}, repeats
  )
  ratio = measure.Times(
    [
      one / other
      for one, other in zip(
        times["guarded"].seconds, times["without"].seconds, strict=True
      )
    ]
  )
  return {
    "ratio": ratio.median,
    "ratio_p10_p90": ratio.spread,
    "temporary_bytes": {
      name: each.compiled.memory_analysis().temp_size_in_bytes
      for name, each in {"guarded": guarded, "without": plain}.items()
    },
    "rows": measure.rows(times),
    "model": learning.model.name,
    "method": learning.method.name,
    "batch_size": learning.batches.batch_size,
    "device": measure.device(),
    "versions": measure.versions("jax", "flax"),
  }


def format_record(record: dict[str, Any]) -> str:
  """Formats the record as a table.

  Args:
    record: The record of `measure_guard`.
  """
  lines = [
    f"{record['method']} step of {record['model']}, {record['batch_size']} "
    f"videos, on {record['device']}",
    f"{'':10}{'s':>9}{'p10 - p90':>18}{'temporary MB':>14}",
  ]
  for row in record["rows"]:
    low, high = row["seconds_p10_p90"]
    spread = f"{low:.4f} - {high:.4f}"
    memory = record["temporary_bytes"][row["name"]] / 1e6
    lines.append(
      f"{row['name']:10}{row['seconds']:9.4f}{spread:>18}{memory:14.1f}"
    )
  low, high = record["ratio_p10_p90"]
  lines.append(
    f"time with the guard, to without: {record['ratio']:.3f} "
    f"({low:.3f} - {high:.3f})"
  )
  return "\n".join(lines)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = measure.make_parser("bench_skipping", __doc__, _EXAMPLES)
  parser.add_argument(
    "--steps", metavar="N", type=int, default=20, help="timed steps; default 20"
  )
  return measure.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  return commands.run(_parse, _run, argv)


def _run(options: argparse.Namespace) -> None:
  config = flags.read_config(options.config, options.fields)
  record = measure_guard(WithoutData.read(config), options.steps)
  print(format_record(record))
  measure.write_json(options.json, record)


if __name__ == "__main__":
  commands.leave(main())
