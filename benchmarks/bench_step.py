"""Clips per second, FLOP/s and memory of the training step on this device.

The step is timed as a whole (augmentation, network, loss and update), on random
clips that are already on the device. With --peer=torch, a step in PyTorch with
the same network, loss, batch and precision is timed too. It has no augmentation
but starts from random views, and so is compared with the step in JAX without
augmentation. The three are timed in turn.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from benchmarks import measure
from hdc_jax.config import flags
from hdc_jax.data.clips import canvas
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.runtime import commands
from hdc_jax.tasks.pretrain import Learning, WithoutData
from hdc_jax.train import flops as flops_lib
from hdc_jax.train import step as step_lib
from hdc_jax.train.training import Training

_EXAMPLES = """\
examples:
  python -m benchmarks.bench_step --config=configs/r3d18.py --batch=4 \\
    --config.model.dtype=float32 --peer=torch
"""


@dataclasses.dataclass
class Step:
  """A compiled step with its state and its batch.

  Attributes:
    compiled: Function from state and batch to the next state and more.
    state: Training state, which every `run` advances.
    batch: Clips or views, on the device.
  """

  compiled: Any
  state: Any
  batch: Any

  def run(self) -> None:
    """Takes one step, and waits until it is complete."""
    self.state, *rest = self.compiled(self.state, self.batch)
    jax.block_until_ready((self.state, rest))

  def peak_bytes(self) -> int:
    """Peak memory on one device in bytes.

    It is measured where the platform does so, else the compiler's analysis.
    """
    stats = jax.devices()[0].memory_stats() or {}
    analysis = self.compiled.memory_analysis()
    analysed = analysis.argument_size_in_bytes + analysis.temp_size_in_bytes
    return stats.get("peak_bytes_in_use", analysed)


def compile_step(training: Training, step: Any, batch: Any) -> Step:
  """Compiles a step for the initial state of a training and a batch.

  Args:
    training: The training.
    step: A jitted function of state and batch.
    batch: NumPy arrays of the batch by name.
  """
  state = training.init_state()
  batch = mesh_lib.to_devices(training.mesh, batch)
  return Step(step.lower(state, batch).compile(), state, batch)


def random_clips(learning: Learning, count: int) -> dict[str, np.ndarray]:
  """A random batch in the format of the loader, YUV 4:2:0.

  Args:
    learning: Options of the pretraining.
    count: Number of clips per video.

  Returns:
    'y', uint8 [B, count, T, H, W], and 'uv', uint8 [B, count, T, H/2, W/2, 2].
  """
  rng = np.random.default_rng(0)
  shape = (learning.batches.batch_size, count, learning.clips.frames)
  side = canvas.side(learning.clips, learning.short_side)
  half = side // 2
  return {
    "y": rng.integers(16, 236, (*shape, side, side), np.uint8),
    "uv": rng.integers(16, 241, (*shape, half, half, 2), np.uint8),
  }


def measure_step(
  learning: Learning, repeats: int, peers: Sequence[str]
) -> dict[str, Any]:
  """Times the step and its peers in turn.

  Args:
    learning: Options of the pretraining, the batch size included.
    repeats: Number of timed steps of each.
    peers: Peers to compare with, 'torch' or 'torch compiled'.

  Returns:
    The record that --json writes. `rows` has the whole step and, if there are
    peers, the step on given views and each peer. `ratio` is the clips per
    second of the step on given views over those of the first peer.

  Raises:
    ConfigError: If the configuration is invalid, or has no peer.
  """
  mesh = mesh_lib.make_mesh()
  batch_size = learning.batches.batch_size
  mesh_lib.check_batch_size("--batch", batch_size, mesh.devices.size)
  mesh_lib.check_microbatches(
    learning.train.microbatches, batch_size // mesh.devices.size
  )
  training = learning.make_training(mesh)
  count, *shape = training.views_shape
  views = np.random.default_rng(0).uniform(-1, 1, (batch_size, count, *shape))
  views = views.astype(np.float32)
  clips = random_clips(learning, training.objective.starts.clips)
  whole = compile_step(training, training.train_step, clips)
  runs = {"hdc_jax": whole.run}
  if peers:
    from benchmarks import torch_peer

    def step(state: Any, batch: Any) -> Any:
      return training.update(state, batch, jax.random.key(0))

    update = step_lib.jit(step, mesh, donate=True)
    ready = compile_step(training, update, {"views": views})
    runs["on ready views"] = ready.run
    for peer in peers:
      compiled = peer == "torch compiled"
      runs[peer] = torch_peer.make_step(learning, views, compiled=compiled)
  times = measure.alternate(runs, repeats)
  flops = flops_lib.count_flops(
    training.update,
    jax.eval_shape(training.init),
    {"views": views},
    jax.eval_shape(lambda: jax.random.key(0)),
  )
  rows = [
    {
      "name": name,
      "clips_per_second": batch_size * count / durations.median,
      "step_seconds": durations.median,
      "step_seconds_p10_p90": durations.spread,
      "flops_per_second": flops / durations.median,
    }
    for name, durations in times.items()
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
  """Formats the record as a table.

  Args:
    record: The record of `measure_step`.
  """
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


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = measure.make_parser("bench_step", __doc__, _EXAMPLES)
  parser.add_argument(
    "--batch",
    metavar="N",
    type=int,
    help="videos per step; default: data.batch_size of the config",
  )
  parser.add_argument(
    "--steps", metavar="N", type=int, default=10, help="timed steps; default 10"
  )
  parser.add_argument(
    "--peer", choices=["torch"], help="framework to compare with"
  )
  parser.add_argument(
    "--compile", action="store_true", help="also compare with torch.compile"
  )
  return measure.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  return commands.run(_parse, _run, argv)


def _run(options: argparse.Namespace) -> None:
  peers = [options.peer] if options.peer else []
  if options.compile:
    peers = ["torch", "torch compiled"]
  config = flags.read_config(options.config, options.fields)
  if options.batch:
    config.data.batch_size = options.batch
  record = measure_step(WithoutData.read(config), options.steps, peers)
  print(format_record(record))
  measure.write_json(options.json, record)


if __name__ == "__main__":
  commands.leave(main())
