"""The exit codes of a run, and what launchers do after them.

The codes are those of `hdc_jax.errors`. A host that loses its connection to the
others ends with a code that does not give the reason, such as that of an abort.
So the code of a host that gives a reason decides.
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

# Codes after which another try would end in the same way.
FINAL = tuple(e.exit_code for e in (ConfigError, DataError, NonFiniteError))
# Codes after which the run can be resumed from its last checkpoint.
AGAIN = tuple(e.exit_code for e in (Preempted, Hung, StorageError))
# The exit code of ssh when it cannot reach a host.
UNREACHABLE = 255


def telling(codes: Collection[int], otherwise: int) -> int:
  """Chooses the exit code that gives the reason for the end of a run.

  Args:
    codes: The known exit codes of hosts.
    otherwise: The result if none of them gives a reason.

  Returns:
    The first of `FINAL` and `AGAIN` that is among the codes.
  """
  return next((code for code in FINAL + AGAIN if code in codes), otherwise)
