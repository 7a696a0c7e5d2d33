"""Trains the rows of the studies, and writes docs/evidence.md from records.

Each study trains every row with every seed, on every variant of its dataset or
recipe. A run whose record exists is not repeated, and an interrupted one goes
on at its last checkpoint: start the same command again until nothing is left.
Several processes may share the work, each with rows or seeds of its own.
"""

import argparse
import itertools
import logging
from collections.abc import Sequence

from benchmarks.evidence import page
from benchmarks.evidence.running import Runs
from benchmarks.evidence.studies import ROWS, STUDIES
from hdc_jax.runtime import commands

_EXAMPLES = """\
examples:
  # everything on generated videos, in seeds' order, then the page
  python -m benchmarks.evidence run --workdir=runs/evidence
  python -m benchmarks.evidence write

  # one study on real videos, of which UT-Interaction is a directory
  python -m benchmarks.evidence run --studies real --videos=ut_interaction \\
    --workdir=runs/evidence

  # ten minutes: three rows with one seed
  python -m benchmarks.evidence run --studies made --seeds 0 \\
    --rows sc@5 tc@5 hdc --workdir=runs/evidence
"""
_RECORDS = "docs/evidence"

_log = logging.getLogger(__name__)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = commands.make_parser(
    "python -m benchmarks.evidence", __doc__, _EXAMPLES
  )
  add = parser.add_argument
  add(
    "action",
    choices=("run", "write"),
    help="run: train and record; write: the page from the records",
  )
  add(
    "--records",
    metavar="DIR",
    default=_RECORDS,
    help="directory of the records; default: %(default)s",
  )
  add(
    "--page",
    metavar="FILE",
    default=f"{_RECORDS}.md",
    help="the page to write; default: %(default)s",
  )
  add("--workdir", metavar="DIR", default="runs/evidence", help="of the runs")
  add("--videos", metavar="DIR", default="", help="UT-Interaction")
  add(
    "--studies",
    nargs="+",
    choices=STUDIES,
    default=["made", "premise", "factors"],
    metavar="STUDY",
    help=f"of {', '.join(STUDIES)}; default: those on generated videos",
  )
  add(
    "--rows",
    nargs="+",
    choices=ROWS,
    default=list(ROWS),
    metavar="ROW",
    help=f"of {', '.join(ROWS)}; default: all of the study",
  )
  add(
    "--seeds",
    nargs="+",
    type=int,
    metavar="S",
    help="default: those of the study",
  )
  return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line; returns the exit code, see `hdc_jax.errors`."""
  return commands.run(_parse, _work, argv)


def _work(options: argparse.Namespace) -> None:
  if options.action == "write":
    page.write(options.page, options.records)
    return
  runs = Runs(options.records, options.workdir, options.videos)
  for name in options.studies:
    study = STUDIES[name]
    seeds = [s for s in study.seeds if s in (options.seeds or study.seeds)]
    rows = [row for row in study.rows if row in options.rows]
    # All rows of a seed before the next seed: a part of the work compares.
    for seed, variant, row in itertools.product(seeds, study.variants, rows):
      if runs.run(name, variant, row, seed):
        _log.info("recorded: %s %s %s seed %d", name, variant, row, seed)
