"""Whether two checkouts compute the same, byte for byte.

For changes that must not alter results, such as moved files. Both checkouts
prepare a small generated dataset, pretrain by every method and evaluate, by
their command lines alone. Compared are the shards, every array of the final
checkpoints, the loss of every step, features, scores of classes, and the
numbers in result.json. Nothing here imports the package, so any two commits can
be compared that have these command lines.

Both sides train on the dataset that --before prepared, and evaluate the
checkpoint that its run `hdc` saved, so --after also has to read what was
written before.
"""

import argparse
import dataclasses
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks import outcomes
from benchmarks.checkouts import Checkout, CommandError
from benchmarks.outcomes import Outcome

_EXAMPLES = """\
examples:
  What changed since the commit before, in a second checkout of it:
    git worktree add ../before HEAD~1
    python -m benchmarks.compare_commits --before=../before --after=. \\
      --workdir=runs/compare

  Two of the runs, of fewer steps:
    python -m benchmarks.compare_commits --before=../before --after=. \\
      --workdir=runs/compare --steps=3 --runs=cvrl,dsm-flow

What a commit of --before has made in --workdir is kept for the next
comparison. The exit code is 1 if anything differs or a command fails.
"""

_SHOWN = 10  # differences of a run

_DATA = "data"
_PREPARE = (
  "--dataset=synthetic",
  "--videos=40",
  "--short_side=64",
  "--shards=2",
  "--workers=2",
)
_SMALL = ("model.width=4", "model.size=32", "data.threads=2")
_ONE_LABEL = ("data.labels=('motion',)", "test.clips=1", "test.crops=centre")


@dataclasses.dataclass(frozen=True)
class Run:
  """A command of `hdc_jax.main` with configs/tiny.py.

  Attributes:
    arguments: Arguments of the config file, after the colon.
    fields: Fields of the config that are set, with their values.
    pretrains: Whether it pretrains, for --steps; or else it evaluates the
      checkpoint of the run `hdc`.
  """

  arguments: str
  fields: Sequence[str] = ()
  pretrains: bool = True


_PRETRAINED = "hdc"
RUNS: dict[str, Run] = {
  "hdc": Run("method=hdc"),
  # Batch norm has running means; the rate rises and falls again.
  "cvrl": Run("method=cvrl", ("model.norm=batch", "optim.warmup=5")),
  "dsm-shift": Run("method=dsm", ("method.negative=shift",)),
  "dsm-flow": Run("method=dsm", ("method.negative=flow",)),
  "dsm-triplet": Run("method=dsm", ("method.objective=triplet",)),
  "dsm-momentum": Run("method=dsm", ("method.momentum=0.999",)),
  "finetune": Run(
    "task=finetune",
    (
      "data.batch_size=8",
      "train.log_every=1",
      "train.steps=5",
      "test.batch_size=8",
      *_ONE_LABEL,
    ),
    pretrains=False,
  ),
  "linear": Run(
    "task=linear",
    (
      "linear.epochs=2",
      "linear.warmup_epochs=1",
      "linear.batch_size=16",
      "linear.views=1",
      *_ONE_LABEL,
    ),
    pretrains=False,
  ),
  "retrieve": Run("task=retrieve", ("test.clips=2",), pretrains=False),
  "embed": Run("task=embed", ("test.clips=2",), pretrains=False),
}


def command(
  run: Run, workdir: pathlib.Path, before: pathlib.Path, steps: int
) -> list[str]:
  """The command of a run.

  Args:
    run: One of `RUNS`.
    workdir: Directory of the run.
    before: Directory with the dataset, and with the checkpoint to evaluate.
    steps: Length of a pretraining.

  Returns:
    The module and its arguments.
  """
  fields = [f"data.path={before / _DATA}", *_SMALL, *run.fields]
  if run.pretrains:
    length = f"train.steps={steps}"
    fields += ["data.batch_size=8", "train.log_every=1", length]
  else:
    # With the step, so that no result of another length is kept.
    step = before / _PRETRAINED / "checkpoints" / str(steps)
    fields.append(f"checkpoint={step}")
  return [
    "hdc_jax.main",
    f"--config=configs/tiny.py:{run.arguments}",
    f"--workdir={workdir}",
    *(f"--config.{field}" for field in fields),
  ]


def report(name: str, before: Outcome, after: Outcome) -> bool:
  """Prints a line that says what is equal, or lines that say what is not.

  Args:
    name: Name of the run.
    before: What one side computed.
    after: What the other side computed.

  Returns:
    Whether all is equal, and there is something to compare.
  """
  lines = outcomes.differences(before, after)
  if before and not lines:
    print(f"{name}: {outcomes.count(before)} equal", flush=True)
    return True
  print(f"{name}: {len(lines)} differ of {outcomes.count(before)}")
  for line in lines[:_SHOWN]:
    print(f"  {line}")
  if len(lines) > _SHOWN:
    print(f"  … and {len(lines) - _SHOWN} more")
  sys.stdout.flush()
  return False


def _compare_all(
  before: Checkout, after: Checkout, names: Sequence[str], steps: int
) -> bool:
  """Makes and compares the dataset and the runs; whether all are equal."""

  def make(side: Checkout, name: str) -> pathlib.Path:
    if name == _DATA:
      output = f"--output={side.directory / name}"
      arguments = ["hdc_jax.prepare", *_PREPARE, output]
    else:
      workdir = side.directory / name
      arguments = command(RUNS[name], workdir, before.directory, steps)
    return side.make(name, arguments, keep=side is before)

  if not all(RUNS[name].pretrains for name in names):
    names = [_PRETRAINED, *(name for name in names if name != _PRETRAINED)]
  readers: Mapping[str, Callable[[pathlib.Path], Outcome]] = {
    _DATA: outcomes.read_shards
  } | dict.fromkeys(names, outcomes.read_run)
  equal = True
  for name, read in readers.items():
    try:
      found = [read(make(side, name)) for side in (before, after)]
    except CommandError as error:
      print(f"{name}: FAILED: {error}", flush=True)
      equal = False
    else:
      equal &= report(name, *found)
  return equal


def _parser() -> argparse.ArgumentParser:
  parser = argparse.ArgumentParser(
    prog="python -m benchmarks.compare_commits",
    description=__doc__,
    epilog=_EXAMPLES,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  for flag, text in (
    ("--before", "checkout whose results are right"),
    ("--after", "checkout to compare with it"),
    ("--workdir", "gets before/ and after/, with the dataset and the runs"),
  ):
    parser.add_argument(
      flag, metavar="DIR", type=pathlib.Path, required=True, help=text
    )
  parser.add_argument(
    "--steps",
    metavar="N",
    type=int,
    default=20,
    help="length of each pretraining; default: %(default)s",
  )
  parser.add_argument(
    "--runs",
    metavar="NAME,…",
    default=",".join(RUNS),
    help=f"runs to compare, by default all: {', '.join(RUNS)}",
  )
  return parser


def main(argv: Sequence[str] | None = None) -> int:
  """Runs the command line.

  Args:
    argv: Arguments, by default those of the process.

  Returns:
    0 if all is equal, 1 if something differs or fails.
  """
  parser = _parser()
  options = parser.parse_args(argv)
  names = options.runs.split(",")
  for name in names:
    if name not in RUNS:
      parser.error(f"--runs: {name!r} is not one of {', '.join(RUNS)}")
  root = options.workdir.resolve()
  before, after = (
    Checkout(checkout.resolve(), root / name, root / "compiled")
    for name, checkout in (
      ("before", options.before),
      ("after", options.after),
    )
  )
  return 0 if _compare_all(before, after, names, options.steps) else 1


if __name__ == "__main__":
  sys.exit(main())
