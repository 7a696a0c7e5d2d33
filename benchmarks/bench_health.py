"""What measuring the health of embeddings adds to the cost of training.

A step, and the measures of the embeddings that it returns, are timed in turn,
so that other load affects both alike. The measures are taken at logged steps
only, so that the cost is spread over `train.log_every` steps.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import jax

from benchmarks import bench_step, measure
from hdc_jax.config import flags
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.runtime import commands
from hdc_jax.tasks.pretrain import Learning, WithoutData

_EXAMPLES = """\
examples:
  python -m benchmarks.bench_health --config=configs/tiny.py
"""


def measure_health(learning: Learning, repeats: int) -> dict[str, Any]:
  """Times a step and the measures of its embeddings, in turn.

  Args:
    learning: Options of the pretraining, the batch size included.
    repeats: Number of timed runs of each.

  Returns:
    The record that --json writes. `share` is the time of the measures as a
    share of the time of the `log_every` steps between two of them.

  Raises:
    ConfigError: If the configuration is invalid.
  """
  training = learning.make_training(mesh_lib.make_mesh())
  clips = bench_step.random_clips(learning, training.objective.starts.clips)
  step = bench_step.compile_step(training, training.train_step, clips)
  pairs = training.train_step(training.init_state(), step.batch)[2]

  def measure_pairs() -> None:
    jax.block_until_ready(training.measure(pairs))

  times = measure.alternate(
    {"step": step.run, "measures": measure_pairs}, repeats
  )
  every = learning.train.log_every
  return {
    "share": times["measures"].median / times["step"].median / every,
    "log_every": every,
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
    record: The record of `measure_health`.
  """
  lines = [
    f"{record['method']} step of {record['model']}, {record['batch_size']} "
    f"videos, on {record['device']}",
    f"{'':10}{'s':>9}{'p10 - p90':>18}",
  ]
  for row in record["rows"]:
    low, high = row["seconds_p10_p90"]
    spread = f"{low:.4f} - {high:.4f}"
    lines.append(f"{row['name']:10}{row['seconds']:9.4f}{spread:>18}")
  lines.append(
    f"every {record['log_every']} steps: {record['share']:.2%} of the time"
  )
  return "\n".join(lines)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = measure.make_parser("bench_health", __doc__, _EXAMPLES)
  parser.add_argument(
    "--steps", metavar="N", type=int, default=20, help="timed steps; default 20"
  )
  return measure.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  return commands.run(_parse, _run, argv)


def _run(options: argparse.Namespace) -> None:
  config = flags.read_config(options.config, options.fields)
  record = measure_health(WithoutData.read(config), options.steps)
  print(format_record(record))
  measure.write_json(options.json, record)


if __name__ == "__main__":
  commands.leave(main())
