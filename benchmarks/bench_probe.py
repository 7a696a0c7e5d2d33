"""Seconds of a measurement of the online probe, and of a training step.

The probe reads, decodes and encodes its videos, and classifies them. It is
timed in turn with the training step, on random clips that are already on the
device.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from benchmarks import bench_step, measure
from hdc_jax.config import flags
from hdc_jax.data import sources
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import require
from hdc_jax.runtime import commands
from hdc_jax.tasks import pretrain

_EXAMPLES = """\
examples:
  python -m benchmarks.bench_probe --config=configs/tiny.py \\
    --config.data.path=runs/demo/data
"""


def measure_probe(options: pretrain.Pretrain, repeats: int) -> dict[str, Any]:
  """Times the probe and the step in turn.

  Args:
    options: Options of task `pretrain`, with a probe.
    repeats: Number of timed runs of each.

  Returns:
    The record that --json writes: `ratio` is the time of a measurement in
    steps, and `share` the fraction of the time of a long run that the
    measurements take.

  Raises:
    ConfigError: If the configuration is invalid, or has no probe.
    DataError: If the dataset cannot be read.
  """
  require("config.probe.every", options.probe.every, "set it, such as to 100")
  mesh = mesh_lib.make_mesh()
  source = sources.open(
    options.dataset.path, options.short_side, options.dataset.cache
  )
  options.check_dataset(source.index)
  training = options.make_training(mesh)
  clips = bench_step.random_clips(options, training.objective.starts.clips)
  step = bench_step.compile_step(training, training.train_step, clips)
  probe = options.make_probe(mesh, source)
  assert probe is not None

  def measure_state() -> None:
    probe.measure(step.state)

  times = measure.alternate({"step": step.run, "probe": measure_state}, repeats)
  seconds = {name: durations.median for name, durations in times.items()}
  ratio = seconds["probe"] / seconds["step"]
  drawn = options.probe.draw(
    source.index, options.learned.split, options.seed.seed
  )
  return {
    "ratio": ratio,
    "share": ratio / (ratio + options.probe.every),
    "rows": measure.rows(times),
    "every": options.probe.every,
    "videos": [len(drawn.gallery), len(drawn.queries)],
    "labels": [target.name for target in drawn.targets],
    "model": options.model.name,
    "batch_size": options.batches.batch_size,
    "device": measure.device(),
    "versions": measure.versions("jax", "flax"),
  }


def format_record(record: dict[str, Any]) -> str:
  """Formats the record as a table.

  Args:
    record: The record of `measure_probe`.
  """
  gallery, queries = record["videos"]
  lines = [
    f"probe of {record['model']} by {', '.join(record['labels'])}: {gallery} "
    f"videos to learn from, {queries} to classify, on {record['device']}",
    f"{'':10}{'s':>9}{'p10 - p90':>16}",
  ]
  for row in record["rows"]:
    low, high = row["seconds_p10_p90"]
    spread = f"{low:.2f} - {high:.2f}"
    lines.append(f"{row['name']:<10}{row['seconds']:9.2f}{spread:>16}")
  lines.append(
    f"a measurement takes as long as {record['ratio']:.1f} steps; every "
    f"{record['every']} steps, {record['share']:.1%} of the time"
  )
  return "\n".join(lines)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = measure.make_parser("bench_probe", __doc__, _EXAMPLES)
  parser.add_argument(
    "--repeats", metavar="N", type=int, default=5, help="timed runs; default 5"
  )
  return measure.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  return commands.run(_parse, _run, argv)


def _run(options: argparse.Namespace) -> None:
  config = flags.read_config(options.config, options.fields)
  task, _ = pretrain.TASK.resolve(config)
  record = measure_probe(task, options.repeats)
  print(format_record(record))
  measure.write_json(options.json, record)


if __name__ == "__main__":
  commands.leave(main())
