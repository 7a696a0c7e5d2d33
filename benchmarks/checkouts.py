"""Commands of the package, run as another checkout has them."""

import dataclasses
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

_TAIL = 15  # lines of a command that failed


class CommandError(Exception):
  """A command of a checkout failed; the text has its last lines."""


@dataclasses.dataclass(frozen=True)
class Checkout:
  """A checkout of the package, and where its commands write.

  Attributes:
    root: Root of the checkout.
    directory: Directory that gets what the commands write.
    compiled: Directory of JAX's compilation cache, unless the environment
      names another.
  """

  root: pathlib.Path
  directory: pathlib.Path
  compiled: pathlib.Path

  def make(self, name: str, command: Sequence[str], keep: bool) -> pathlib.Path:
    """Runs a command of the package that writes a directory.

    Args:
      name: Name of that directory.
      command: Module of the package, and its arguments.
      keep: Whether to leave the directory as it is where the same command of
        the same commit has made it.

    Returns:
      The directory.

    Raises:
      CommandError: If the command fails.
    """
    target = self.directory / name
    stamp = target / "made_by.json"
    made_by = {"commit": self._commit(), "command": list(command)}
    if keep and stamp.exists() and json.loads(stamp.read_text()) == made_by:
      return target
    shutil.rmtree(target, ignore_errors=True)
    argv = [sys.executable, "-m", *command]
    done = subprocess.run(
      argv,
      cwd=self.root,
      env={
        "JAX_COMPILATION_CACHE_DIR": str(self.compiled),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
      }
      | os.environ
      | {"PYTHONPATH": str(self.root)},
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      errors="backslashreplace",
      check=False,
    )
    if done.returncode:
      tail = "\n".join(done.stdout.splitlines()[-_TAIL:])
      raise CommandError(
        f"exit code {done.returncode} in {self.root} of\n"
        f"{shlex.join(argv)}\n{tail}"
      )
    if not made_by["commit"].endswith("dirty"):
      stamp.write_text(json.dumps(made_by))
    return target

  def _commit(self) -> str:
    """Hash of the commit, with '-dirty' where tracked files differ from it."""
    describe = ["git", "describe", "--always", "--abbrev=40", "--dirty"]
    return subprocess.run(
      [*describe, "--exclude=*"],
      cwd=self.root,
      stdout=subprocess.PIPE,
      text=True,
      check=True,
    ).stdout.strip()
