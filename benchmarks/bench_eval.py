"""Clips per second of a dense test, and of its forward pass alone.

The test is that of task `finetune`: every clip that fits, in its crops, read
and decoded from shards, encoded, and averaged over the videos. It is timed in
turn with the forward pass alone, of as many batches that lie on the device as
floats. Their ratio says how busy the test keeps the device.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from benchmarks import measure
from hdc_jax.config import flags
from hdc_jax.data.clips import evaluation as clips_lib
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import HdcError
from hdc_jax.evaluate import features
from hdc_jax.evaluate.evaluation import Evaluation
from hdc_jax.methods import supervised
from hdc_jax.prepare import command as prepare
from hdc_jax.tasks import finetune

_EXAMPLES = """\
examples:
  On videos that it generates, or on a prepared dataset:
    python -m benchmarks.bench_eval --config=configs/r3d18.py:task=finetune \\
      --config.model.dtype=float32 --config.test.batch_size=8 --videos=8
    python -m benchmarks.bench_eval --config=configs/r3d18.py:task=finetune \\
      --config.data.path=data/ucf101 --config.test.split=test1
"""
_CLASSES = 101


def measure_test(
  options: finetune.Finetune, videos: int, repeats: int
) -> dict[str, Any]:
  """Times the test and the forward pass, in turn.

  Args:
    options: Options of task `finetune`.
    videos: Number of videos of the split to test.
    repeats: Number of measurements.

  Returns:
    What --json writes.
  """
  evaluation = Evaluation.open(
    options.dataset,
    options.clips,
    options.loading,
    options.shown,
    options.model.size,
  )
  mesh, source = evaluation.mesh, evaluation.source
  placement, batch_size = evaluation.placement, evaluation.batch_size
  numbers = source.index.split(options.tested.split)[:videos]
  network = options.make_training(mesh, _CLASSES).objective.network
  shape = (batch_size, placement.frames, placement.size, placement.size, 3)
  compute = supervised.make_scores(network)
  variables = mesh_lib.run_once(
    lambda: network.init(jax.random.key(0), np.zeros((1, 1, *shape[1:]))), mesh
  )
  encode = features.make_encoder(
    compute, features.centre_view(placement.size), mesh
  )
  forward = mesh_lib.jit(compute, mesh)
  ready = jax.device_put(
    np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32),
    mesh_lib.batched(mesh),
  )
  clips = sum(
    len(video["y"])
    for video in clips_lib.read_clips(
      source, numbers, options.loading, label="", placement=placement
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
  # The last batch of the test is filled up; the forward pass has it whole.
  counts = {"test": clips, "forward": batches * batch_size}
  rows = [
    {
      "name": name,
      "clips_per_second": counts[name] / found.median,
      "seconds": found.median,
      "seconds_p10_p90": found.spread,
    }
    for name, found in times.items()
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
  """The record as a table."""
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
  code = prepare.main(
    [
      "--dataset=synthetic",
      f"--output={directory}",
      f"--videos={5 * videos}",
      f"--short_side={short_side}",
    ]
  )
  if code:
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
  parser = flags.make_parser(
    "python -m benchmarks.bench_eval", __doc__, _EXAMPLES
  )
  parser.add_argument(
    "--videos", metavar="N", type=int, default=8, help="to test; default 8"
  )
  parser.add_argument(
    "--repeats", metavar="N", type=int, default=5, help="timed; default 5"
  )
  parser.add_argument("--json", metavar="FILE", help="gets the record")
  return parser


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  options, rest = _parser().parse_known_args(argv)
  try:
    config = flags.read_config(options.config, rest)
    with tempfile.TemporaryDirectory() as directory:
      if not config.data.path:
        _generate(directory, options.videos, config.data.canvas)
        config.data.path = directory
      task, _ = finetune.TASK.resolve(config)
      record = measure_test(task, options.videos, options.repeats)
  except HdcError as error:
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code
  print(format_record(record))
  measure.write_json(options.json, record)
  return 0


if __name__ == "__main__":
  sys.exit(main())
