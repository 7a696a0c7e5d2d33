"""The description of a run on a TPU slice of Google Cloud."""

import argparse
import dataclasses
import re
from collections.abc import Sequence

from hdc_jax.errors import ConfigError
from hdc_jax.runtime.slices import GENERATIONS, Slice
from launch import description
from launch.description import Run

CAPACITIES = ("on-demand", "spot", "reserved")

_ZONE = r"[a-z]+-[a-z]+\d+-[a-z]"
_CODE = r"https://[\w./~-]+@[0-9a-f]{40}|gs://[\w./-]+\.tar\.gz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SliceRun(Run):
  """The description of a run on a TPU slice.

  Attributes:
    slice: The TPU slice to run on, or joined ones.
    zone: Zone of Google Cloud that has the slice.
    capacity: Kind of capacity, one of `CAPACITIES`.
    code: URL of a commit of a git repository, or of an archive in a bucket.
  """

  slice: Slice
  zone: str
  capacity: str
  code: str

  def __post_init__(self) -> None:
    super().__post_init__()
    description.check("--zone", self.zone, _ZONE, "a zone, as in us-west4-a")
    if not re.fullmatch(_CODE, self.code):
      # The message does not show the value, which may contain a password.
      raise ConfigError(
        "--code: write https://….git@COMMIT with the commit in full, or "
        "gs://….tar.gz; no user names or passwords"
      )
    if self.capacity not in CAPACITIES:
      raise ConfigError(
        f"--capacity={self.capacity}: choose from {', '.join(CAPACITIES)}"
      )
    options = description.check_args(self.args, self.slice.chips)
    if not options.workdir.startswith("gs://"):
      raise ConfigError(
        "--workdir must be on gs://, for the run to go on where another slice "
        "has stopped"
      )


def make_parser(
  prog: str, text: str | None, examples: str
) -> argparse.ArgumentParser:
  """Makes the parser of a launcher for slices.

  Args:
    prog: The command, such as 'python -m launch.gke'.
    text: Text of --help before the flags.
    examples: Text of --help after the flags.
  """
  parser = description.make_parser(prog, text, examples)
  add = parser.add_argument
  add(
    "--slice",
    required=True,
    metavar="GENERATION:TOPOLOGY",
    help=f"v5e:16x16, v4:4x4x4 …, or joined ones as 4*v5e:16x16; of "
    f"{', '.join(GENERATIONS)}",
  )
  add("--zone", required=True, help="us-west4-a")
  add(
    "--project",
    default="",
    metavar="ID",
    help="Google Cloud project, also that of the run's libraries: my-project",
  )
  add(
    "--capacity",
    default="on-demand",
    metavar="KIND",
    help=f"{', '.join(CAPACITIES)}; by default %(default)s",
  )
  add(
    "--code",
    required=True,
    help="what to install: https://….git@COMMIT, or gs://….tar.gz made by "
    "git archive",
  )
  return parser


def parse(
  parser: argparse.ArgumentParser, argv: Sequence[str]
) -> argparse.Namespace:
  """Parses the command line of a launcher for slices.

  Args:
    parser: A parser of `make_parser`.
    argv: Flags of the launcher, `--`, and the arguments of the run.

  Returns:
    The flags, with the description of the run as `run`.

  Raises:
    ConfigError: If a flag is wrong.
  """
  flags = description.parse(parser, argv)
  env = flags.env
  if flags.project:
    env = (("GOOGLE_CLOUD_PROJECT", flags.project), *env)
  flags.run = SliceRun(
    name=flags.name,
    slice=Slice.parse(flags.slice),
    zone=flags.zone,
    capacity=flags.capacity,
    code=flags.code,
    args=flags.args,
    env=env,
    retries=flags.retries,
  )
  return flags
