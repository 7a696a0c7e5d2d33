"""What the exit codes of a run mean to a launcher.

The codes are those of `hdc_jax.errors`. A host that loses the others ends with
a code that says nothing about the reason, such as that of an abort. So the code
of a host that knows the reason decides.
"""

from collections.abc import Collection

from hdc_jax.errors import (
  ConfigError,
  DataError,
  Hung,
  NonFiniteError,
  Preempted,
  StorageError,
)

# Trying again would end in the same way.
FINAL = tuple(e.exit_code for e in (ConfigError, DataError, NonFiniteError))
# The run goes on from its last checkpoint.
AGAIN = tuple(e.exit_code for e in (Preempted, Hung, StorageError))
# The exit code of ssh if it cannot reach a host.
UNREACHABLE = 255


def telling(codes: Collection[int], otherwise: int) -> int:
  """The exit code that stands for those of all hosts.

  Args:
    codes: Exit codes of the hosts, as far as they are known.
    otherwise: The result if none of them gives a reason.

  Returns:
    The first of `FINAL` and `AGAIN` that is among the codes.
  """
  return next((code for code in FINAL + AGAIN if code in codes), otherwise)
