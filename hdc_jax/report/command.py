"""Lists runs, or writes report.html: their curves, results and pictures."""

import argparse
from collections.abc import Sequence

import jax

from hdc_jax.errors import DataError
from hdc_jax.report import page
from hdc_jax.runs import listing, read
from hdc_jax.runs.text_table import format_rows
from hdc_jax.runtime import buckets, commands

_EXAMPLES = """\
examples:
  # the runs below a directory: their state, and the best figures first
  python -m hdc_jax.report runs

  # a run on its own, also one that is still going
  python -m hdc_jax.report runs/first --output=runs/first

  # two runs side by side
  python -m hdc_jax.report runs/first runs/second --output=runs/compared
"""


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line.

  Args:
    argv: Arguments, by default those of the process.

  Returns:
    The exit code, see `errors`.
  """
  return commands.run(_parse, _run, argv)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = commands.make_parser("python -m hdc_jax.report", __doc__, _EXAMPLES)
  parser.add_argument(
    "runs",
    metavar="RUN",
    nargs="+",
    help="directory of a run (its --workdir), of which several are compared; "
    "without --output, directories with runs below, which are listed",
  )
  parser.add_argument("--output", metavar="DIR", help="gets report.html")
  return parser.parse_args(argv)


def _run(options: argparse.Namespace) -> None:
  # A report needs no accelerator, and must not wait for one that trains.
  jax.config.update("jax_platforms", "cpu")
  for path in filter(None, (*options.runs, options.output)):
    buckets.check_access(path)
  if not options.output:
    runs = [found for path in options.runs for found in listing.find(path)]
    if not runs:
      raise DataError(f"{', '.join(options.runs)}: there is no run in it")
    print(format_rows([found.row() for found in runs]))
    return
  for run in options.runs:
    read.check(run)
  print(page.write(options.output, runs=options.runs))
