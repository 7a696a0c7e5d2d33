"""Runs commands, or shows what would be run."""

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from hdc_jax.errors import ConfigError

_LONGEST_PAUSE = 300.0


class Shell(Protocol):
  """What a launcher needs of the machine that it is on."""

  def ask(self, argv: Sequence[str]) -> tuple[int, str]:
    """The exit code of a command, and what it prints, or complains about."""

  def follow(self, argv: Sequence[str], find: str) -> tuple[int, list[str]]:
    """The exit code of a long one, and what a regex finds in its lines."""

  def sleep(self, seconds: float) -> None:
    """Waits."""


class Processes:
  """A shell whose commands are processes."""

  def ask(self, argv: Sequence[str]) -> tuple[int, str]:
    """See `Shell`."""
    done = subprocess.run(
      argv,
      stdin=subprocess.DEVNULL,
      capture_output=True,
      text=True,
      errors="replace",
      check=False,
    )
    text = done.stderr if done.returncode else done.stdout
    return done.returncode, text.strip()

  def follow(self, argv: Sequence[str], find: str) -> tuple[int, list[str]]:
    """See `Shell`."""
    found = []
    with subprocess.Popen(
      argv,
      stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE,
      text=True,
      errors="replace",
    ) as process:
      try:
        for line in process.stdout or ():
          sys.stdout.write(line)
          sys.stdout.flush()
          found += re.findall(find, line)
      except BaseException:
        process.terminate()
        raise
    return process.returncode, found

  def sleep(self, seconds: float) -> None:
    """See `Shell`."""
    time.sleep(seconds)


class Rehearsal:
  """A shell that prints each command, and finds that all went well."""

  def __init__(self, answers: Sequence[tuple[int, str]]) -> None:
    """Creates it.

    Args:
      answers: What each next question is answered with.
    """
    self._answers = list(answers)

  def ask(self, argv: Sequence[str]) -> tuple[int, str]:
    """See `Shell`."""
    print(show(argv))
    return self._answers.pop(0)

  def follow(self, argv: Sequence[str], find: str) -> tuple[int, list[str]]:
    """See `Shell`."""
    print(show(argv))
    return 0, []

  def sleep(self, seconds: float) -> None:
    """See `Shell`."""


def pauses(first: float) -> Iterator[float]:
  """Seconds to wait between tries: ever longer, up to five minutes."""
  while True:
    yield first
    first = min(2 * first, _LONGEST_PAUSE)


def show(argv: Sequence[str]) -> str:
  """A command as it can be pasted into a terminal, a flag a line."""
  words = (shlex.quote(word) for word in argv)
  flag = ("--", "'--")
  return "".join(
    f" \\\n  {word}" if word.startswith(flag) else f" {word}" for word in words
  ).lstrip()


def require(tool: str) -> None:
  """Raises a ConfigError if a tool is not installed."""
  if shutil.which(tool) is None:
    raise ConfigError(f"{tool} is not installed; see launch/README.md")
