"""What the exit codes of a run mean to a launcher.

The codes are those of `hdc_jax.errors`. A host that loses the others ends with
a code that tells nothing, such as that of an abort; one that knows the reason
decides.
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
# What ssh ends with when it cannot reach a host.
UNREACHABLE = 255


def telling(codes: Collection[int], otherwise: int) -> int:
  """The exit code of all hosts together.

  Args:
    codes: Those of the hosts that said.
    otherwise: The code if none of them gives a reason.
  """
  return next((code for code in FINAL + AGAIN if code in codes), otherwise)
