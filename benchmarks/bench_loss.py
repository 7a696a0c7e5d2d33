"""The memory of a method's loss and its gradient, with and without blocks.

The functions are compiled for one device of this machine, and not run. What
counts is the memory besides the embeddings and their gradients, by the
compiler's analysis.
"""

import argparse
import unittest.mock
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import measure
from hdc_jax import blocks
from hdc_jax.config import flags
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.runtime import commands
from hdc_jax.tasks.pretrain import Learning, WithoutData

_EXAMPLES = """\
examples:
  python -m benchmarks.bench_loss --config=configs/r3d18.py --batch=8192,32768
"""


def measure_loss(learning: Learning, batch_sizes: Sequence[int]) -> Any:
  """Compiles the loss of a method for some sizes of the batch.

  Args:
    learning: Options of the pretraining.
    batch_sizes: Numbers of videos.

  Returns:
    The record that --json writes. `rows` has, for each size, the temporary
    bytes `in_blocks` and `as_a_whole`.
  """
  mesh = mesh_lib.make_mesh(1)
  training = learning.make_training(mesh)
  network: Any = training.objective.network
  views = jax.ShapeDtypeStruct((1, *training.views_shape), jnp.float32)
  shapes, _ = jax.eval_shape(
    lambda views: network.init_with_output(jax.random.key(0), views), views
  )

  def temporary_bytes(batch_size: int) -> int:
    embeddings = tuple(
      jax.ShapeDtypeStruct((batch_size, *x.shape[1:]), x.dtype)
      for x in shapes.values()
    )

    def loss(embeddings: Any) -> Any:
      return network.method.loss(dict(zip(shapes, embeddings, strict=True)))

    function = mesh_lib.jit(
      lambda _, embeddings: jax.value_and_grad(loss, has_aux=True)(embeddings),
      mesh,
    )
    memory = function.lower(0.0, embeddings).compile().memory_analysis()
    assert memory is not None, "XLA analyses what it compiles"
    return memory.temp_size_in_bytes

  rows = []
  for size in batch_sizes:
    in_blocks = temporary_bytes(size)
    with unittest.mock.patch.object(blocks, "PRODUCTS", 1 << 62):
      whole = temporary_bytes(size)
    rows.append(
      {"batch_size": size, "in_blocks": in_blocks, "as_a_whole": whole}
    )
  return {
    "rows": rows,
    "method": learning.method.name,
    "device": measure.device(),
    "versions": measure.versions("jax", "flax"),
  }


def format_record(record: dict[str, Any]) -> str:
  """Formats the record as a table.

  Args:
    record: The record of `measure_loss`.
  """
  lines = [
    f"loss of {record['method']} and its gradient, temporary memory",
    f"{'videos':>8}{'in blocks':>12}{'as a whole':>13}",
  ]
  for row in record["rows"]:
    sizes = [
      f"{row[name] / 1e9:.2f} GB" for name in ("in_blocks", "as_a_whole")
    ]
    lines.append(f"{row['batch_size']:8,}{sizes[0]:>12}{sizes[1]:>13}")
  return "\n".join(lines)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = measure.make_parser("bench_loss", __doc__, _EXAMPLES)
  parser.add_argument(
    "--batch",
    metavar="N[,N…]",
    default="8192,32768",
    help="videos of a batch; default 8192,32768",
  )
  return measure.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  return commands.run(_parse, _run, argv)


def _run(options: argparse.Namespace) -> None:
  config = flags.read_config(options.config, options.fields)
  sizes = [int(size) for size in options.batch.split(",")]
  record = measure_loss(WithoutData.read(config), sizes)
  print(format_record(record))
  measure.write_json(options.json, record)


if __name__ == "__main__":
  commands.leave(main())
