"""How much of a training waits for videos, and what decoding takes of the CPU.

Takes steps on the batches of a dataset, as `pretrain` does. `data wait` is the
share of the time in which a step had to wait for its batch. Then the same
batches are read once more without steps: their CPU time, as a share of that of
the training, is what decoding takes where the step runs on the same cores. On a
GPU or TPU, the other share is that of a process which only starts steps.
"""

import argparse
import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from benchmarks import measure
from hdc_jax.config import flags
from hdc_jax.data import sources
from hdc_jax.data.clips import loader, training_clips
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError
from hdc_jax.runtime import commands
from hdc_jax.tasks import pretrain

_EXAMPLES = """\
examples:
  python -m benchmarks.bench_train --config=configs/tiny.py \\
    --config.data.path=runs/demo/data --steps=20
"""

# Steps before the timed ones: the first is compiled, and after the second, the
# loader reads ahead as far as it may.
_WARM_UP = 2


def measure_training(options: pretrain.Pretrain, steps: int) -> dict[str, Any]:
  """Takes steps on batches of the dataset, and reads the batches again.

  Args:
    options: Options of task `pretrain`.
    steps: Number of timed steps.

  Returns:
    The record that --json writes: `data_wait` and `decoding_share`, as
    fractions; the seconds of a step and of a wait; and CPU seconds of a step,
    with all that runs beside it, and of its batch alone.

  Raises:
    ConfigError: If the configuration is invalid, or has worker processes, whose
      CPU time is not that of this process.
    DataError: If the dataset cannot be read.
  """
  if options.loading.workers:
    raise ConfigError(
      f"config.data.workers={options.loading.workers}: the CPU time of other "
      "processes is not measured: use 0"
    )
  mesh = mesh_lib.make_mesh()
  source = sources.open(
    options.dataset.path, options.short_side, options.dataset.cache
  )
  options.check_dataset(source.index)
  training = options.make_training(mesh)
  cut = training_clips.make_cut(
    source,
    options.clips,
    records=source.index.split(options.learned.split),
    starts=training.objective.starts,
  )
  state = training.init_state()
  waits: list[float] = []
  took: list[float] = []
  cpu = 0.0
  with _batches(options, cut) as batches:
    for number in range(_WARM_UP + steps):
      if number == _WARM_UP:
        cpu = time.process_time()
      start = time.perf_counter()
      batch = next(batches)
      waited = time.perf_counter()
      arrays = mesh_lib.to_devices(
        mesh, {name: batch[name] for name in ("y", "uv")}
      )
      state, *rest = training.train_step(state, arrays)
      jax.block_until_ready((state, rest))
      if number >= _WARM_UP:
        waits.append(waited - start)
        took.append(time.perf_counter() - start)
    training_cpu = time.process_time() - cpu
  with _batches(options, cut) as batches:
    for number in range(_WARM_UP + steps):
      if number == _WARM_UP:
        cpu = time.process_time()
      next(batches)
    reading_cpu = time.process_time() - cpu
  return {
    "data_wait": sum(waits) / sum(took),
    "decoding_share": reading_cpu / training_cpu,
    "rows": measure.rows(
      {"step": measure.Times(took), "wait": measure.Times(waits)}
    ),
    "cpu_seconds_per_step": training_cpu / steps,
    "cpu_seconds_per_batch": reading_cpu / steps,
    "model": options.model.name,
    "batch_size": options.batches.batch_size,
    "dataset": options.dataset.path,
    "device": measure.device(),
    "versions": measure.versions("jax", "flax", "av"),
  }


@contextlib.contextmanager
def _batches(
  options: pretrain.Pretrain, cut: training_clips.CutClips
) -> Iterator[Iterator[training_clips.Batch]]:
  """The batches of a run of one process, whose threads end with the block."""
  batches = loader.training_batches(
    cut,
    batch_size=options.batches.batch_size,
    seed=options.seed.seed,
    loading=options.loading,
  )
  with contextlib.closing(batches):
    yield batches


def format_record(record: dict[str, Any]) -> str:
  """Formats the record as a table.

  Args:
    record: The record of `measure_training`.
  """
  lines = [
    f"{record['model']}, {record['batch_size']} videos of {record['dataset']} "
    f"a step, on {record['device']}",
    f"{'':6}{'s':>9}{'p10 - p90':>16}",
  ]
  for row in record["rows"]:
    low, high = row["seconds_p10_p90"]
    spread = f"{low:.3f} - {high:.3f}"
    lines.append(f"{row['name']:<6}{row['seconds']:9.3f}{spread:>16}")
  lines += [
    f"data wait: {record['data_wait']:.1%}",
    f"CPU: {record['cpu_seconds_per_step']:.2f} s a step, of which its batch "
    f"takes {record['cpu_seconds_per_batch']:.2f} s "
    f"({record['decoding_share']:.1%})",
  ]
  return "\n".join(lines)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = measure.make_parser("bench_train", __doc__, _EXAMPLES)
  parser.add_argument(
    "--steps", metavar="N", type=int, default=20, help="timed steps; default 20"
  )
  return measure.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  return commands.run(_parse, _run, argv)


def _run(options: argparse.Namespace) -> None:
  config = flags.read_config(options.config, options.fields)
  task, _ = pretrain.TASK.resolve(config)
  record = measure_training(task, options.steps)
  print(format_record(record))
  measure.write_json(options.json, record)


if __name__ == "__main__":
  commands.leave(main())
