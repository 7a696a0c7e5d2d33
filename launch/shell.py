"""Shells for launchers: one runs commands, another one only prints them."""

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from hdc_jax.errors import ConfigError

_LONGEST_PAUSE = 300.0  # seconds


class Shell(Protocol):
  """What a launcher does on its machine."""

  def ask(self, argv: Sequence[str]) -> tuple[int, str]:
    """Runs a short command.

    Args:
      argv: Words of the command.

    Returns:
      The exit code, and what the command wrote to stdout, or if it failed, to
      stderr.
    """
    ...

  def follow(self, argv: Sequence[str], find: str) -> tuple[int, list[str]]:
    """Runs a long command, and prints what it writes to stdout.

    Args:
      argv: Words of the command.
      find: Regular expression.

    Returns:
      The exit code, and all that the expression finds in the lines of stdout.
    """
    ...

  def sleep(self, seconds: float) -> None:
    """Waits for some seconds."""


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
  """A shell that prints each command instead, as if all of them succeeded."""

  def __init__(self, answers: Sequence[tuple[int, str]]) -> None:
    """Prepares the answers.

    Args:
      answers: Results of `ask`, one for each call.
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
  """Seconds to wait between tries: each pause is twice the last, up to 300.

  Args:
    first: The first pause, in seconds.
  """
  while True:
    yield first
    first = min(2 * first, _LONGEST_PAUSE)


def show(argv: Sequence[str]) -> str:
  """A command for pasting into a terminal, with each flag on its own line."""
  words = (shlex.quote(word) for word in argv)
  flag = ("--", "'--")
  return "".join(
    f" \\\n  {word}" if word.startswith(flag) else f" {word}" for word in words
  ).lstrip()


def require(tool: str) -> None:
  """Raises a ConfigError if a tool is not installed."""
  if shutil.which(tool) is None:
    raise ConfigError(f"{tool} is not installed; see launch/README.md")
