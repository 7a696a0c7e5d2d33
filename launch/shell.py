"""Shells for launchers: one runs commands, the other one only prints them."""

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from hdc_jax.errors import ConfigError

# Longest pause between two tries, in seconds.
_LONGEST_PAUSE = 300.0


class Shell(Protocol):
  """The interface through which a launcher runs commands and waits."""

  def ask(self, argv: Sequence[str]) -> tuple[int, str]:
    """Runs a short command.

    Args:
      argv: Words of the command.

    Returns:
      The exit code; and the text that the command wrote to stdout or, if it
      failed, to stderr.
    """
    ...

  def follow(self, argv: Sequence[str], find: str) -> tuple[int, list[str]]:
    """Runs a long command, and prints its stdout.

    Args:
      argv: Words of the command.
      find: Regular expression to search for in stdout, with at most one group.

    Returns:
      The exit code, and the matches in all lines of stdout.
    """
    ...

  def sleep(self, seconds: float) -> None:
    """Waits for some seconds."""


class Processes:
  """A shell that runs each command as a process."""

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
  """A shell that prints each command instead of running it."""

  def __init__(self, answers: Sequence[tuple[int, str]]) -> None:
    """Sets the results of `ask`; `follow` always succeeds.

    Args:
      answers: Results of `ask`, one for each call in order.
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
  """Yields pauses between tries, in seconds: each is twice the last, up to 300.

  Args:
    first: The first pause, in seconds.
  """
  while True:
    yield first
    first = min(2 * first, _LONGEST_PAUSE)


def show(argv: Sequence[str]) -> str:
  """Formats a command for a terminal, with each flag on a line of its own."""
  words = (shlex.quote(word) for word in argv)
  flag = ("--", "'--")
  return "".join(
    f" \\\n  {word}" if word.startswith(flag) else f" {word}" for word in words
  ).lstrip()


def require(tool: str) -> None:
  """Raises a ConfigError if a tool is not installed."""
  if shutil.which(tool) is None:
    raise ConfigError(f"{tool} is not installed; see launch/README.md")
