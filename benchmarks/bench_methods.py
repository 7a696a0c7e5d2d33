"""Compares methods by retrieval after equal steps, over several seeds.

For each row and seed, a network is pretrained with the method of the row, and
its features retrieve nearest neighbours; each of these runs has a directory of
its own. Completed runs are not repeated, so that the same command continues an
interrupted one.
"""

import argparse
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import measure
from hdc_jax.config import flags
from hdc_jax.errors import require
from hdc_jax.evaluate import statistics
from hdc_jax.runs.text_table import CONFIDENCE, format_rows
from hdc_jax.runtime import commands
from hdc_jax.tasks import Task, pretrain, retrieve

_EXAMPLES = """\
examples:
  On the videos that `make demo` generates:
    python -m benchmarks.bench_methods --config=configs/tiny.py \\
      --config.data.path=runs/demo/data --config.train.steps=200 \\
      --seeds 0 1 2 --workdir=runs/methods --json=methods.json
"""


def _single_contrast(contrast: str) -> dict[str, Any]:
  """The fields for HDC with one of its contrasts, at the last block only."""
  return {
    "method.contrasts": (contrast,),
    "method.blocks": (5,),
    "method.weights": (1.0,),
  }


# For each row its method, and the fields that differ from the method's recipe.
ROWS: dict[str, tuple[str, Mapping[str, Any]]] = {
  "hdc": ("hdc", {}),
  "sc@5": ("hdc", _single_contrast("spatial")),
  "tc@5": ("hdc", _single_contrast("temporal")),
  "cvrl": ("cvrl", {}),
  "dsm": ("dsm", {}),
}


def run_row(
  row: str, file: str, fields: Sequence[str], seed: int, workdir: pathlib.Path
) -> list[dict[str, Any]]:
  """Pretrains a network and evaluates it by retrieval.

  Args:
    row: Name of the row, a key of `ROWS`.
    file: Path of a config file with the arguments `method` and `task`.
    fields: Arguments such as `--config.data.path=DIR`, for every task that has
      the field.
    seed: Seed of the pretraining.
    workdir: Directory for the directories of both runs.

  Returns:
    The rows of task `retrieve`.

  Raises:
    HdcError: If a run fails.
  """
  method, changes = ROWS[row]
  configs = {
    task.name: flags.read_config(
      f"{file}:method={method},task={task.name}", _fields_of(task, fields)
    )
    for task in (pretrain.TASK, retrieve.TASK)
  }
  configs["pretrain"].update_from_flattened_dict(dict(changes))
  configs["pretrain"].seed = seed
  configs["retrieve"].checkpoint = str(workdir / "pretrain")
  pretrain.run(configs["pretrain"], str(workdir / "pretrain"))
  result = retrieve.run(configs["retrieve"], str(workdir / "retrieve"))
  return result["rows"]


def _fields_of(task: Task, fields: Sequence[str]) -> list[str]:
  """The arguments for a task; what neither task has is for the pretraining."""
  known = task.schema.known()
  other = retrieve.TASK.schema.known()
  mine = []
  for argument in fields:
    name = argument.partition("=")[0].removeprefix("--config.")
    path = tuple(name.split("."))
    if path in known or (task is pretrain.TASK and path not in other):
      mine.append(argument)
  return mine


def summarise(
  results: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
) -> list[dict[str, Any]]:
  """Averages over seeds, with 95 % confidence intervals.

  Args:
    results: For each row and each seed the rows of task `retrieve`.

  Returns:
    A row for each label and each of `results`, with columns for the trained and
    for the untrained network.
  """
  labels = {r["label"]: None for seeds in results.values() for r in seeds[0]}
  table = []
  for label in labels:
    for name, seeds in results.items():
      row: dict[str, Any] = {
        "name": f"{label}/{name}",
        "label": label,
        "method": name,
      }
      for network, suffix in (("trained", ""), ("untrained", "_untrained")):
        by_seed = [
          r
          for rows in seeds
          for r in rows
          if (r["label"], r["network"]) == (label, network)
        ]
        for column in ("top1", "knn"):
          mean, half_width = statistics.confidence([r[column] for r in by_seed])
          row[column + suffix] = mean
          row[column + suffix + CONFIDENCE] = half_width
      table.append(row)
  return table


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = commands.make_parser(
    "python -m benchmarks.bench_methods", __doc__, _EXAMPLES
  )
  flags.add_config(parser)
  add = parser.add_argument
  add("--workdir", metavar="DIR", required=True, help="directory of the runs")
  add(
    "--rows",
    nargs="+",
    choices=ROWS,
    default=list(ROWS),
    metavar="ROW",
    help=f"rows to run, of {', '.join(ROWS)}; default: all",
  )
  add(
    "--seeds",
    nargs="+",
    type=int,
    default=[0, 1, 2],
    metavar="S",
    help="seeds of the pretraining; default: 0 1 2",
  )
  add("--json", metavar="FILE", help="file to write the record to")
  options, options.fields = parser.parse_known_args(argv)
  return options


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  return commands.run(_parse, _run, argv)


def _run(options: argparse.Namespace) -> None:
  root, fields = pathlib.Path(options.workdir), options.fields
  require("--seeds", len(options.seeds) > 1, "name several")
  results = {
    row: [
      run_row(row, options.config, fields, seed, root / f"{row}-seed{seed}")
      for seed in options.seeds
    ]
    for row in options.rows
  }
  rows = summarise(results)
  print(format_rows(rows))
  record = {
    "rows": rows,
    "runs": [
      {"method": row, "seed": seed} | result
      for row, by_seed in results.items()
      for seed, seed_rows in zip(options.seeds, by_seed, strict=True)
      for result in seed_rows
    ],
    "seeds": options.seeds,
    "fields": fields,
    "device": measure.device(),
    "versions": measure.versions("jax", "flax"),
  }
  measure.write_json(options.json, record)


if __name__ == "__main__":
  commands.leave(main())
