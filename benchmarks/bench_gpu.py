"""The training step on a GPU beside PyTorch, from a batch to the largest.

Calls `bench_step` for one batch after the other, each of twice as many videos:
the whole step, the step on ready views, PyTorch as it is and by torch.compile,
in bfloat16. Each call is a process of its own, so that a batch that does not
fit ends nothing else. It stops there, or before a batch that would take it
beyond --minutes.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks import measure
from hdc_jax.errors import ConfigError
from hdc_jax.runs import text_table
from hdc_jax.runtime import commands

_EXAMPLES = """\
examples:
  python -m benchmarks.bench_gpu --config=configs/r3d18.py --json=r3d18.json

Another backbone, from 16 videos on:
  python -m benchmarks.bench_gpu --config=configs/r3d50.py --batch=16
"""

# JAX takes memory as it needs it, so that PyTorch finds some in the same
# process.
_ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
_PLATFORM = "import jax; print(jax.devices()[0].platform)"


def measure_batches(
  arguments: Sequence[str], batch: int, minutes: float
) -> Iterator[dict[str, Any]]:
  """Measures one batch after the other, until one does not fit.

  Args:
    arguments: Arguments of `bench_step`, without the batch.
    batch: Videos of the first batch; each next one has twice as many.
    minutes: Time for all. A batch is not begun if twice the time of the one
      before would exceed it.

  Yields:
    The record of `bench_step` of each batch, with 'batch', the number of its
    videos. Of the batch that fails, only that and 'failed', the last line of
    what it printed.
  """
  end = time.monotonic() + 60 * minutes
  took = 0.0
  while time.monotonic() + 2 * took < end:
    start = time.monotonic()
    record = _measure(arguments, batch)
    yield {"batch": batch, **record}
    if "failed" in record:
      return
    took = time.monotonic() - start
    batch *= 2


def _measure(arguments: Sequence[str], batch: int) -> dict[str, Any]:
  """The record of one batch, or why there is none."""
  with tempfile.TemporaryDirectory() as directory:
    path = pathlib.Path(directory, "step.json")
    done = subprocess.run(
      [
        *(sys.executable, "-m", "benchmarks.bench_step"),
        *(*arguments, f"--batch={batch}", f"--json={path}"),
      ],
      env=os.environ | _ENVIRONMENT,
      capture_output=True,
      text=True,
      check=False,
    )
    if not done.returncode:
      return json.loads(path.read_text())
  lines = done.stderr.strip().splitlines()
  return {"failed": lines[-1] if lines else f"exit code {done.returncode}"}


def format_records(records: Sequence[Mapping[str, Any]]) -> str:
  """Formats the records as a table of clips per second.

  Args:
    records: What `measure_batches` yielded.
  """
  rows = []
  for record in records:
    if "failed" in record:
      continue
    rates = {r["name"]: r["clips_per_second"] for r in record["rows"]}
    best = max(rates["torch"], rates["torch compiled"])
    rows.append(
      {
        "name": str(record["batch"]),
        "videos": record["batch"],
        **rates,
        "ratio to the better": rates["on ready views"] / best,
        "TFLOP/s": record["flops_per_second"] / 1e12,
        "peak GB": record["peak_bytes"] / 1e9,
      }
    )
  lines = [
    f"{record['batch']} videos: {record['failed']}"
    for record in records
    if "failed" in record
  ]
  if rows:
    first = next(record for record in records if "rows" in record)
    title = (
      f"{first['method']} step of {first['model']}, {first['dtype']}, on "
      f"{first['device']}: clips/s"
    )
    lines = [title, text_table.format_rows(rows), *lines]
  return "\n".join(lines)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = measure.make_parser("bench_gpu", __doc__, _EXAMPLES)
  parser.add_argument(
    "--batch",
    metavar="N",
    type=int,
    default=128,
    help="videos of the first batch; default %(default)s",
  )
  parser.add_argument(
    "--steps", metavar="N", type=int, default=10, help="timed steps; default 10"
  )
  parser.add_argument(
    "--minutes",
    metavar="M",
    type=float,
    default=10.0,
    help="time for all batches; default %(default)s",
  )
  return measure.parse(parser, argv)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  return commands.run(_parse, _run, argv)


def platform() -> str:
  """The platform of JAX's devices, asked in a process that then ends."""
  done = subprocess.run(
    [sys.executable, "-c", _PLATFORM],
    env=os.environ | _ENVIRONMENT,
    capture_output=True,
    text=True,
    check=True,
  )
  return done.stdout.strip()


def _run(options: argparse.Namespace) -> None:
  if (found := platform()) != "gpu":
    raise ConfigError(
      f"JAX finds no GPU, but {found}: install its extra, "
      "pip install -e '.[cuda]', and see that nvidia-smi lists a GPU"
    )
  arguments = [
    f"--config={options.config}",
    *options.fields,
    f"--steps={options.steps}",
    "--compile",
  ]
  records = []
  for record in measure_batches(arguments, options.batch, options.minutes):
    records.append(record)
    # What is measured is kept, whatever ends the next batch.
    measure.write_json(options.json, {"batches": records})
    print(format_records(records), flush=True)


if __name__ == "__main__":
  commands.leave(main())
