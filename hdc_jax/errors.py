"""What can go wrong at the boundaries, and the exit code of each.

Every error here says in one line which field or file is wrong and what to do.
The commands print that line and exit with the code; launchers decide by the
code whether to try again.

| code | error            | meaning                               | try again? |
|-----:|------------------|---------------------------------------|------------|
|    1 | (any other)      | a bug: please report it               | no         |
|    2 | `ConfigError`    | a flag, config field or combination,  | no         |
|      |                  | or a path that cannot be used         |            |
|    3 | `DataError`      | a dataset, shard, video or checkpoint,| no         |
|      |                  | or the disk: it is full, say          |            |
|    4 | `NonFiniteError` | many steps in a row were not finite   | no         |
|    5 | `Preempted`      | stopped by SIGTERM, or in training by | yes        |
|      |                  | Ctrl-C; what was done is saved        |            |
|    6 | `Hung`, `Lost`   | a part of the run took too long; or   | yes        |
|      |                  | a process that it needs is lost       |            |
|    7 | `TooLargeError`  | it does not fit a chip's memory       | no         |
|    8 | `StorageError`   | a bucket, the network or the disk of  | yes        |
|      |                  | the checkpoints failed, which may pass|            |
|    9 | `Collapsed`      | the network does not learn, and       | no         |
|      |                  | `train.stop_on_collapse` is set       |            |
|  130 | (Ctrl-C)         | interrupted                           | no         |
|  141 | (a broken pipe)  | nobody reads the output, as of `head` | no         |
"""

import difflib
from collections.abc import Collection
from typing import Any

BUG = 1
INTERRUPTED = 130  # the shell's code for a process that Ctrl-C ended
BROKEN_PIPE = 141  # the shell's code for a process that SIGPIPE ended


class HdcError(Exception):
  """Base of the errors that are reported in one line, without a traceback."""

  exit_code = BUG


class ConfigError(HdcError, ValueError):
  """A flag or config field is unknown, mistyped or does not fit another."""

  exit_code = 2


class DataError(HdcError, ValueError):
  """A dataset, shard, video or checkpoint is missing, empty or unreadable."""

  exit_code = 3


class NonFiniteError(HdcError, ArithmeticError):
  """Too many steps in a row were NaN or infinite; none of them is saved."""

  exit_code = 4


class Preempted(HdcError):
  """The run was asked to stop; a rerun goes on, or begins a test again."""

  exit_code = 5


class Hung(HdcError):
  """Nothing went on for a long time: another host is lost, or the disk is."""

  exit_code = 6


class Lost(HdcError):
  """Another process that this one needs is lost: a rerun goes on."""

  exit_code = 6


class TooLargeError(HdcError):
  """A step needs more memory than a chip has."""

  exit_code = 7


class StorageError(HdcError):
  """Storage failed, for a reason that may pass; the file may be fine."""

  exit_code = 8


class Collapsed(HdcError):
  """The embeddings collapsed, or the loss stays that of chance."""

  exit_code = 9


def choose(field: str, name: Any, choices: Collection[Any]) -> Any:
  """The choice called `name`: its value in a mapping, else itself.

  Raises:
    ConfigError: If it is none of the choices, listing them.
  """
  if name in choices:
    indexed: Any = choices  # a ConfigDict is no Mapping
    return indexed[name] if hasattr(choices, "keys") else name
  near = difflib.get_close_matches(str(name), map(str, choices), n=1)
  hint = f"; did you mean {near[0]!r}?" if near else ""
  raise ConfigError(
    f"{field}: {name!r} is not one of {', '.join(map(str, choices))}{hint}"
  )


def require(field: str, value: Any, remedy: str) -> None:
  """Raises `ConfigError` if the value of `field` is empty or zero."""
  if not value:
    raise ConfigError(f"{field} is not set: {remedy}")
