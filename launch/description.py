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
# Manifests, commands and logs show the environment to everyone.
_SECRET = r"(?i).*(TOKEN|SECRET|PASSWORD|CREDENTIAL|API_?KEY)"


@dataclasses.dataclass(frozen=True)
class Run:
  """What to run, and where.

  Attributes:
    name: What the slice, job or task is called.
    slice: What it runs on.
    zone: Where that is.
    capacity: How it is paid for, one of `CAPACITIES`.
    code: A commit of a git repository, or an archive in a bucket.
    args: Arguments of `python -m hdc_jax.main`.
    env: Names and values of environment variables.
    retries: How often it is tried again.
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
      # Not shown: there may be a password in it.
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
    """The whole command."""
    env = (f"{name}={value}" for name, value in self.env)
    return ("env", *env, "python", "-m", "hdc_jax.main", *self.args)

  @property
  def encoded_words(self) -> str:
    """The whole command for `host.sh`."""
    words = b"".join(os.fsencode(word) + b"\0" for word in self.words)
    return base64.b64encode(words).decode()


def _check(flag: str, value: str, pattern: str, hint: str) -> None:
  if not re.fullmatch(pattern, value):
    raise ConfigError(f"{flag}={value}: {hint}")


def _check_args(args: Sequence[str], where: Slice) -> None:
  """Checks the arguments of a run as the run itself will check them.

  Args:
    args: Arguments of `python -m hdc_jax.main`.
    where: The slice that it runs on.

  Raises:
    ConfigError: If the run would refuse them, or could not be resumed.
  """
  if any("\0" in arg for arg in args):
    raise ConfigError("no argument can have a NUL character in it")
  # JAX takes seconds to import, which --help and wrong flags need not wait for.
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
  """The parser of a launcher, with the flags that describe a run."""
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
    parser: From `make_parser`.
    argv: Flags, `--`, and the arguments of the run.

  Returns:
    All flags; `run` is the run that they describe.

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
