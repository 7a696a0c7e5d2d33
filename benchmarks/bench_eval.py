"""Clips per second of a dense test, and of its forward pass alone.

The test is that of task `finetune`: it reads and decodes all clips of the
videos from shards, crops and encodes them, and averages over each video. It is
timed in turn with the forward pass alone, of as many batches of floats that are
already on the device. Their ratio says how busy the test keeps the device.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from benchmarks import measure
from hdc_jax.config import flags
from hdc_jax.data.clips import evaluation_clips as clips_lib
from hdc_jax.data.datasets import Request
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.evaluate import features
from hdc_jax.evaluate.evaluation import Evaluation
from hdc_jax.methods import supervised
from hdc_jax.prepare import pipeline
from hdc_jax.runtime import commands
from hdc_jax.tasks import finetune

_EXAMPLES = """\
examples:
  On generated videos, and on a prepared dataset:
    python -m benchmarks.bench_eval --config=configs/r3d18.py:task=finetune \\
      --config.model.dtype=float32 --config.test.batch_size=8 --videos=8
    python -m benchmarks.bench_eval --config=configs/r3d18.py:task=finetune \\
      --config.data.path=data/ucf101 --config.test.split=test1
"""
_CLASSES = 101


def measure_test(
  options: finetune.Finetune, videos: int, repeats: int
) -> dict[str, Any]:
  """Times the test and the forward pass in turn.

  Args:
    options: Options of task `finetune`.
    videos: Number of videos of the split to test.
    repeats: Number of timed runs of each.

  Returns:
    The record that --json writes.

  Raises:
    ConfigError: If the configuration is invalid.
    DataError: If the dataset cannot be read.
  """
  evaluation = Evaluation.open(
    options.dataset,
    options.clips,
    options.loading,
    options.shown,
    options.model.size,
  )
  mesh, source = evaluation.mesh, evaluation.source
  batch_size, size = evaluation.batch_size, evaluation.size
  numbers = source.index.split(options.tested.split)[:videos]
  network = options.make_training(mesh, _CLASSES).objective.network
  shape = (batch_size, options.clips.frames, size, size, 3)
  compute = supervised.make_scores(network)
  variables = mesh_lib.run_once(
    lambda: network.init(jax.random.key(0), np.zeros((1, 1, *shape[1:]))), mesh
  )
  encode = features.make_encoder(compute, evaluation.view, mesh)
  forward = mesh_lib.jit(compute, mesh)
  ready = jax.device_put(
    np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32),
    mesh_lib.batched(mesh),
  )
  clips = sum(
    len(video["y"])
    for video in clips_lib.read_clips(
      source, numbers, options.loading, label="", placement=evaluation.placement
    )
  )
  batches = -(-clips // batch_size)

  def test() -> None:
    evaluation.encode(encode, variables, numbers, label="")

  def forward_alone() -> None:
    for _ in range(batches):
      jax.block_until_ready(forward(variables, ready))

  times = measure.alternate(
    {"test": test, "forward": forward_alone}, repeats, warm_up=1
  )
  # The last batch of the test is padded, while the forward pass has full ones.
  counts = {"test": clips, "forward": batches * batch_size}
  rows = [
    {
      "name": name,
      "clips_per_second": counts[name] / durations.median,
      "seconds": durations.median,
      "seconds_p10_p90": durations.spread,
    }
    for name, durations in times.items()
  ]
  rate = {row["name"]: row["clips_per_second"] for row in rows}
  return {
    "clips_per_second": rate["test"],
    "peer_clips_per_second": rate["forward"],
    "ratio": rate["test"] / rate["forward"],
    "rows": rows,
    "videos": len(numbers),
    "clips": [clips, *shape[1:]],
    "model": options.model.name,
    "dtype": options.model.dtype,
    "device": measure.device(),
    "versions": measure.versions("jax", "flax"),
  }


def format_record(record: dict[str, Any]) -> str:
  """Formats the record as a table.

  Args:
    record: The record of `measure_test`.
  """
  count, *shape = record["clips"]
  lines = [
    f"test of {record['model']}, {record['dtype']}: {record['videos']} videos, "
    f"{count} clips of {'×'.join(map(str, shape))} on {record['device']}",
    f"{'':10}{'clips/s':>9}{'s':>9}{'p10 - p90':>16}",
  ]
  for row in record["rows"]:
    low, high = row["seconds_p10_p90"]
    lines.append(
      f"{row['name']:<10}{row['clips_per_second']:9.2f}{row['seconds']:9.2f}"
      f"{f'{low:.2f} - {high:.2f}':>16}"
    )
  lines.append(f"to the forward pass alone: {record['ratio']:.2f}")
  return "\n".join(lines)


def _generate(directory: str, videos: int, short_side: int) -> None:
  """Writes a dataset with enough videos in its split 'test'."""
  request = Request(
    source=None,
    splits=None,
    output=directory,
    videos=5 * videos,
    seed=0,
    workers=os.cpu_count() or 1,
  )
  pipeline.prepare("synthetic", request, short_side=short_side)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = measure.make_parser("bench_eval", __doc__, _EXAMPLES)
  parser.add_argument(
    "--videos",
    metavar="N",
    type=int,
    default=8,
    help="videos to test; default 8",
  )
  parser.add_argument(
    "--repeats", metavar="N", type=int, default=5, help="timed runs; default 5"
  )
  return measure.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  return commands.run(_parse, _run, argv)


def _run(options: argparse.Namespace) -> None:
  config = flags.read_config(options.config, options.fields)
  with tempfile.TemporaryDirectory() as directory:
    if not config.data.path:
      task = finetune.TASK.schema.build(
        config.to_dict() | {"data": config.data.to_dict() | {"path": directory}}
      )
      _generate(directory, options.videos, task.short_side)
      config.data.path = directory
    task, _ = finetune.TASK.resolve(config)
    record = measure_test(task, options.videos, options.repeats)
  print(format_record(record))
  measure.write_json(options.json, record)


if __name__ == "__main__":
  commands.leave(main())
