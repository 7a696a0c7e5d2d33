"""What each method learns in equal steps: retrieval, over several seeds.

Every row pretrains with its method and searches nearest neighbours with what it
learned, for each seed, in directories of their own. What is done is not done
again, so a command that was interrupted goes on.
"""

import argparse
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import measure
from hdc_jax.config import flags
from hdc_jax.errors import HdcError, require
from hdc_jax.evaluate import statistics
from hdc_jax.runs.rows import CONFIDENCE, format_rows
from hdc_jax.runtime import logs
from hdc_jax.tasks import Task, pretrain, retrieve

_EXAMPLES = """\
examples:
  On what `make demo` generates:
    python -m benchmarks.bench_methods --config=configs/tiny.py \\
      --config.data.path=runs/demo/data --config.train.steps=200 \\
      --seeds 0 1 2 --workdir=runs/methods --json=methods.json
"""


def _alone(contrast: str) -> dict[str, Any]:
  """One contrast of HDC, at the last block."""
  return {
    "method.contrasts": (contrast,),
    "method.blocks": (5,),
    "method.weights": (1.0,),
  }


# Row → method, and what differs from its recipe.
ROWS: dict[str, tuple[str, Mapping[str, Any]]] = {
  "hdc": ("hdc", {}),
  "sc@5": ("hdc", _alone("spatial")),
  "tc@5": ("hdc", _alone("temporal")),
  "cvrl": ("cvrl", {}),
  "dsm": ("dsm", {}),
}


def run_row(
  row: str, file: str, fields: Sequence[str], seed: int, workdir: pathlib.Path
) -> list[dict[str, Any]]:
  """Pretrains and evaluates.

  Args:
    row: One of `ROWS`.
    file: Of a config that takes `method` and `task`.
    fields: Arguments like `--config.data.path=DIR`, for every task that has the
      field.
    seed: Of the pretraining.
    workdir: Gets the directories of both runs.

  Returns:
    The rows of task `retrieve`.
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
  found = retrieve.run(configs["retrieve"], str(workdir / "retrieve"))
  return found["rows"]


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
  found: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]],
) -> list[dict[str, Any]]:
  """Means over seeds, with their 95 % confidence.

  Args:
    found: By row, for each seed, the rows of task `retrieve`.

  Returns:
    A row for each label and row, the trained network beside the untrained one.
  """
  labels = {r["label"]: None for seeds in found.values() for r in seeds[0]}
  table = []
  for label in labels:
    for name, seeds in found.items():
      row: dict[str, Any] = {
        "name": f"{label}/{name}",
        "label": label,
        "method": name,
      }
      for network, suffix in (("trained", ""), ("untrained", "_untrained")):
        own = [
          r
          for rows in seeds
          for r in rows
          if (r["label"], r["network"]) == (label, network)
        ]
        for column in ("top1", "knn"):
          mean, half = statistics.confidence([r[column] for r in own])
          row[column + suffix] = mean
          row[column + suffix + CONFIDENCE] = half
      table.append(row)
  return table


def _parser() -> argparse.ArgumentParser:
  parser = flags.make_parser(
    "python -m benchmarks.bench_methods", __doc__, _EXAMPLES
  )
  add = parser.add_argument
  add("--workdir", metavar="DIR", required=True, help="gets the runs")
  add("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
  add("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="S")
  add("--json", metavar="FILE", help="gets the record")
  return parser


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  options, rest = _parser().parse_known_args(argv)
  logs.set_up(debug=False)
  root = pathlib.Path(options.workdir)
  try:
    require("--seeds", len(options.seeds) > 1, "name several")
    found = {
      row: [
        run_row(row, options.config, rest, seed, root / f"{row}-seed{seed}")
        for seed in options.seeds
      ]
      for row in options.rows
    }
  except HdcError as error:
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code
  rows = summarise(found)
  print(format_rows(rows))
  record = {
    "rows": rows,
    "runs": [
      {"method": row, "seed": seed} | found_row
      for row, by_seed in found.items()
      for seed, found_rows in zip(options.seeds, by_seed, strict=True)
      for found_row in found_rows
    ],
    "seeds": options.seeds,
    "fields": rest,
    "device": measure.device(),
    "versions": measure.versions("jax", "flax"),
  }
  measure.write_json(options.json, record)
  return 0


if __name__ == "__main__":
  sys.exit(main())
