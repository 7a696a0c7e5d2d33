"""The description of a run, from the flags that all launchers share."""

import argparse
import base64
import dataclasses
import os
import re
from collections.abc import Sequence

from hdc_jax.errors import ConfigError
from hdc_jax.runtime import commands, redaction

_NAME = r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?"
_VARIABLE = r"[A-Za-z_]\w*"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
  """The description of a run for any launcher.

  Attributes:
    name: Name of the slice, job or task.
    args: Arguments of `python -m hdc_jax.main`.
    env: Names and values of environment variables.
    retries: Number of times to try again.
  """

  name: str
  args: tuple[str, ...]
  env: tuple[tuple[str, str], ...] = ()
  retries: int = 100

  def __post_init__(self) -> None:
    check("--name", self.name, _NAME, "lower-case, at most 40, as in k400-hdc")
    if self.retries < 0:
      raise ConfigError(f"--retries={self.retries}: 0 or more")
    for name, value in self.env:
      check("--env", name, _VARIABLE, "write it as NAME=VALUE")
      redaction.refuse("--env", value, name)

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


def check(flag: str, value: str, pattern: str, hint: str) -> None:
  """Raises ConfigError with a hint if a flag's value breaks a pattern."""
  if not re.fullmatch(pattern, value):
    raise ConfigError(f"{flag}={value}: {hint}")


def check_args(
  args: Sequence[str], devices: int, processes: int
) -> argparse.Namespace:
  """Checks the arguments of a run with the checks of the run itself.

  Args:
    args: Arguments of `python -m hdc_jax.main`.
    devices: Number of devices that the run has, over all hosts.
    processes: Number of its processes.

  Returns:
    The options of the run.

  Raises:
    ConfigError: If an argument is wrong.
  """
  if any("\0" in arg for arg in args):
    raise ConfigError("no argument can have a NUL character in it")
  # Importing JAX takes seconds, for which --help and wrong flags need not wait.
  from hdc_jax import main, tasks
  from hdc_jax.config import flags

  options = main.parse(args)
  if not options.config:
    raise ConfigError("name a config after --, as in -- --config=FILE")
  config = flags.read_config(options.config, options.fields)
  for task, _, run_config in tasks.resolve(config, options.workdir):
    tasks.check_batches(task, run_config, devices, processes)
  return options


def make_parser(
  prog: str, description: str | None, examples: str
) -> argparse.ArgumentParser:
  """Makes the parser of a launcher, with the flags that all launchers have.

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
    "--env",
    action="append",
    default=[],
    metavar="NAME=VALUE",
    help="environment of the run; secrets are refused",
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
    The flags, with those of the environment as pairs in `env`, and the
    arguments of the run in `args`.

  Raises:
    ConfigError: If a flag is wrong.
  """
  own, args = commands.split(argv)
  flags = parser.parse_args(own)
  flags.args = tuple(args)
  flags.env = tuple((n, v) for n, _, v in (e.partition("=") for e in flags.env))
  return flags
