"""The description of a run, from the flags that all launchers share."""

import argparse
import base64
import dataclasses
import os
import re
from collections.abc import Sequence

from hdc_jax.errors import ConfigError
from hdc_jax.runtime import commands
from hdc_jax.runtime.slices import GENERATIONS, Slice

CAPACITIES = ("on-demand", "spot", "reserved")

_NAME = r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?"
_ZONE = r"[a-z]+-[a-z]+\d+-[a-z]"
_CODE = r"https://[\w./~-]+@[0-9a-f]{40}|gs://[\w./-]+\.tar\.gz"
_VARIABLE = r"[A-Za-z_]\w*"
# Names of variables that may be secret: manifests, commands and logs show the
# environment to everyone who can read them.
_SECRET = r"(?i).*(TOKEN|SECRET|PASSWORD|CREDENTIAL|API_?KEY)"


@dataclasses.dataclass(frozen=True)
class Run:
  """The description of a run for a launcher.

  Attributes:
    name: Name of the slice, job or task.
    slice: The TPU slice to run on.
    zone: Zone of Google Cloud that has the slice.
    capacity: Kind of capacity, one of `CAPACITIES`.
    code: URL of a commit of a git repository, or of an archive in a bucket.
    args: Arguments of `python -m hdc_jax.main`.
    env: Names and values of environment variables.
    retries: Number of times to try again.
  """

  name: str
  slice: Slice
  zone: str
  capacity: str
  code: str
  args: tuple[str, ...]
  env: tuple[tuple[str, str], ...] = ()
  retries: int = 100

  def __post_init__(self) -> None:
    _check("--name", self.name, _NAME, "lower-case, at most 40, as in k400-hdc")
    _check("--zone", self.zone, _ZONE, "a zone, as in us-west4-a")
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
    if self.retries < 0:
      raise ConfigError(f"--retries={self.retries}: 0 or more")
    for name, _ in self.env:
      _check("--env", name, _VARIABLE, "write it as NAME=VALUE")
      if re.match(_SECRET, name):
        raise ConfigError(
          f"--env={name}=…: the environment can be read in logs; give the "
          "service account of the hosts the rights instead"
        )
    _check_args(self.args, self.slice)

  @property
  def words(self) -> tuple[str, ...]:
    """The words of the command that every host runs."""
    env = (f"{name}={value}" for name, value in self.env)
    return ("env", *env, "python", "-m", "hdc_jax.main", *self.args)

  @property
  def encoded_words(self) -> str:
    """The words of the command in base64, as `host.sh` reads them."""
    words = b"".join(os.fsencode(word) + b"\0" for word in self.words)
    return base64.b64encode(words).decode()


def _check(flag: str, value: str, pattern: str, hint: str) -> None:
  """Raises ConfigError with a hint if a flag's value breaks a pattern."""
  if not re.fullmatch(pattern, value):
    raise ConfigError(f"{flag}={value}: {hint}")


def _check_args(args: Sequence[str], where: Slice) -> None:
  """Checks the arguments of a run with the checks of the run itself.

  Args:
    args: Arguments of `python -m hdc_jax.main`.
    where: The slice to run on.

  Raises:
    ConfigError: If an argument is wrong, or if the run could not be resumed on
      another slice.
  """
  if any("\0" in arg for arg in args):
    raise ConfigError("no argument can have a NUL character in it")
  # Importing JAX takes seconds, for which --help and wrong flags need not wait.
  from hdc_jax import main, tasks
  from hdc_jax.config import flags

  options = main.parse(args)
  if not options.config:
    raise ConfigError("name a config after --, as in -- --config=FILE")
  if not options.workdir.startswith("gs://"):
    raise ConfigError(
      "--workdir must be on gs://, for the run to go on where another slice "
      "has stopped"
    )
  config = flags.read_config(options.config, options.fields)
  for task, _, run_config in tasks.resolve(config, options.workdir):
    tasks.check_batches(task, run_config, where.chips)


def make_parser(
  prog: str, description: str | None, examples: str
) -> argparse.ArgumentParser:
  """Makes the parser of a launcher, with the flags that describe a run.

  Args:
    prog: The command, such as 'python -m launch.gke'.
    description: Text of --help before the flags.
    examples: Text of --help after the flags.
  """
  parser = commands.make_parser(
    prog,
    description,
    examples,
    usage=f"{prog} [flags] -- [arguments of python -m hdc_jax.main]",
  )
  add = parser.add_argument
  add("--name", required=True, help="what to call it: k400-hdc")
  add(
    "--slice",
    required=True,
    metavar="GENERATION:TOPOLOGY",
    help=f"v5e:16x16, v4:4x4x4 …; of {', '.join(GENERATIONS)}",
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
  add(
    "--env",
    action="append",
    default=[],
    metavar="NAME=VALUE",
    help="environment of the run; no secrets",
  )
  add(
    "--retries",
    type=int,
    default=Run.retries,
    metavar="N",
    help="how often to go on after a preemption; by default %(default)s",
  )
  add(
    "--dry_run",
    action="store_true",
    help="print what would be done, and do nothing",
  )
  return parser


def parse(
  parser: argparse.ArgumentParser, argv: Sequence[str]
) -> argparse.Namespace:
  """Parses the command line of a launcher.

  Args:
    parser: A parser of `make_parser`.
    argv: Flags of the launcher, `--`, and the arguments of the run.

  Returns:
    The flags, with the description of the run as `run`.

  Raises:
    ConfigError: If a flag is wrong.
  """
  own, args = commands.split(argv)
  flags = parser.parse_args(own)
  env = [(n, v) for n, _, v in (e.partition("=") for e in flags.env)]
  if flags.project:
    env.insert(0, ("GOOGLE_CLOUD_PROJECT", flags.project))
  flags.run = Run(
    name=flags.name,
    slice=Slice.parse(flags.slice),
    zone=flags.zone,
    capacity=flags.capacity,
    code=flags.code,
    args=tuple(args),
    env=tuple(env),
    retries=flags.retries,
  )
  return flags
