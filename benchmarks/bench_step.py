"""Clips per second, FLOP/s and memory of the train step on this device.

The step is the whole one (augmentation, network, loss, update) on random clips
that lie on the device. With --peer=torch the same network, loss, batch and
precision are stepped in PyTorch. That starts from ready-made views, and is
compared with what does the same here: the step without the augmentation. The
three are timed in turn.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks import measure
from hdc_jax.config import flags
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import HdcError
from hdc_jax.tasks.pretrain import Learning, WithoutData
from hdc_jax.train import flops as flops_lib
from hdc_jax.train.training import Training

_EXAMPLES = """\
examples:
  python -m benchmarks.bench_step --config=configs/r3d18.py --batch=4 \\
    --config.model.dtype=float32 --peer=torch
"""


@dataclasses.dataclass
class Step:
  """A compiled step and all it needs.

  Attributes:
    compiled: From state and batch to the next state and metrics.
    state: Advanced by every `run`.
    batch: Clips or views, on the device.
  """

  compiled: Any
  state: Any
  batch: Any

  def run(self) -> None:
    """One step."""
    self.state, metrics = self.compiled(self.state, self.batch)
    jax.block_until_ready((self.state, metrics))

  def peak_bytes(self) -> int:
    """Memory on one device: measured, or where it is not, as compiled."""
    stats = jax.devices()[0].memory_stats() or {}
    plan = self.compiled.memory_analysis()
    planned = plan.argument_size_in_bytes + plan.temp_size_in_bytes
    return stats.get("peak_bytes_in_use", planned)


def compile_step(made: Training, step: Callable, batch: Any) -> Step:
  """Compiles a jitted step for its first state and a batch."""
  state, batch = made.init_state(), mesh_lib.to_devices(made.mesh, batch)
  return Step(step.lower(state, batch).compile(), state, batch)


def random_clips(learning: Learning, count: int) -> dict[str, np.ndarray]:
  """A batch as the loader gives it: uint8 YUV 4:2:0."""
  rng = np.random.default_rng(0)
  shape = (learning.batches.batch_size, count, learning.clips.frames)
  side, half = learning.clips.canvas, learning.clips.canvas // 2
  return {
    "y": rng.integers(16, 236, (*shape, side, side), np.uint8),
    "uv": rng.integers(16, 241, (*shape, half, half, 2), np.uint8),
  }


def measure_step(
  learning: Learning, repeats: int, peers: Sequence[str]
) -> dict[str, Any]:
  """Times the step, and its peers in turn with it.

  Args:
    learning: What is learned, and in which batches.
    repeats: Timed steps of each.
    peers: Of 'torch' and 'torch compiled'.

  Returns:
    What --json writes: `rows` has the step and, if there are peers, the step on
    ready-made views and every peer. `ratio` is that of the latter two.
  """
  mesh = mesh_lib.make_mesh()
  batch_size = learning.batches.batch_size
  mesh_lib.check_batch_size("--batch", batch_size, mesh.devices.size)
  made = learning.make_training(mesh)
  count, *shape = made.views_shape
  views = np.random.default_rng(0).uniform(-1, 1, (batch_size, count, *shape))
  views = views.astype(np.float32)
  clips = random_clips(learning, made.objective.starts.clips)
  whole = compile_step(made, made.train_step, clips)
  runs = {"hdc_jax": whole.run}
  if peers:
    from benchmarks import torch_peer

    def step(state: Any, batch: Any) -> Any:
      return made.update(state, batch, jax.random.key(0))

    update = mesh_lib.jit(step, mesh, donate=True)
    runs["on ready views"] = compile_step(made, update, {"views": views}).run
    for peer in peers:
      compiled = peer == "torch compiled"
      runs[peer] = torch_peer.make_step(learning, views, compiled=compiled)
  times = measure.alternate(runs, repeats)
  flops = flops_lib.count_flops(
    made.update,
    jax.eval_shape(made.init),
    {"views": views},
    jax.eval_shape(lambda: jax.random.key(0)),
  )
  rows = [
    {
      "name": name,
      "clips_per_second": batch_size * count / found.median,
      "step_seconds": found.median,
      "step_seconds_p10_p90": found.spread,
      "flops_per_second": flops / found.median,
    }
    for name, found in times.items()
  ]
  rate = {row["name"]: row["clips_per_second"] for row in rows}
  compared = {}
  if peers:
    compared["peer_clips_per_second"] = rate[peers[0]]
    compared["ratio"] = rate["on ready views"] / rate[peers[0]]
  packages = ("jax", "flax", *(["torch"] if peers else []))
  return {
    "clips_per_second": rate["hdc_jax"],
    **compared,
    "flops_per_second": rows[0]["flops_per_second"],
    "peak_bytes": whole.peak_bytes(),
    "rows": rows,
    "model": learning.model.name,
    "method": learning.method.name,
    "dtype": learning.model.dtype,
    "clips": [batch_size * count, *shape],
    "device": measure.device(),
    "versions": measure.versions(*packages),
  }


def format_record(record: dict[str, Any]) -> str:
  """The record as a table."""
  count, *shape = record["clips"]
  lines = [
    f"{record['method']} step of {record['model']}, {record['dtype']}: {count} "
    f"clips of {'×'.join(map(str, shape))} on {record['device']}",
    f"{'':16}{'clips/s':>9}{'s/step':>9}{'p10 - p90':>16}{'GFLOP/s':>9}",
  ]
  for row in record["rows"]:
    low, high = row["step_seconds_p10_p90"]
    lines.append(
      f"{row['name']:<16}{row['clips_per_second']:9.2f}"
      f"{row['step_seconds']:9.3f}{f'{low:.3f} - {high:.3f}':>16}"
      f"{row['flops_per_second'] / 1e9:9.0f}"
    )
  lines.append(f"peak memory of hdc_jax: {record['peak_bytes'] / 1e9:.2f} GB")
  if "ratio" in record:
    lines.append(f"on ready views, to torch: {record['ratio']:.2f}")
  return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
  parser = flags.make_parser(
    "python -m benchmarks.bench_step", __doc__, _EXAMPLES
  )
  parser.add_argument(
    "--batch", metavar="N", type=int, help="videos; by default the config's"
  )
  parser.add_argument(
    "--steps", metavar="N", type=int, default=10, help="timed; default 10"
  )
  parser.add_argument(
    "--peer", choices=["torch"], help="what to compare with, in turn"
  )
  parser.add_argument(
    "--compile", action="store_true", help="compare with torch.compile as well"
  )
  parser.add_argument("--json", metavar="FILE", help="gets the record")
  return parser


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  options, rest = _parser().parse_known_args(argv)
  peers = [options.peer] if options.peer else []
  if options.compile:
    peers = ["torch", "torch compiled"]
  try:
    config = flags.read_config(options.config, rest)
    if options.batch:
      config.data.batch_size = options.batch
    learning = WithoutData.read(config)
    record = measure_step(learning, options.steps, peers)
  except HdcError as error:
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code
  print(format_record(record))
  measure.write_json(options.json, record)
  return 0


if __name__ == "__main__":
  sys.exit(main())
