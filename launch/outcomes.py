"""The exit codes of a run, and what launchers do after them.

The codes are those of `hdc_jax.errors`, and those of processes that a signal
has ended. These do not give the reason, which may be on another host. So the
code of a host that gives a reason decides.
"""

from collections.abc import Collection

from hdc_jax.errors import (
  BUG,
  Collapsed,
  ConfigError,
  DataError,
  Hung,
  NonFiniteError,
  Preempted,
  StorageError,
)

# Codes after which another try would end in the same way.
FINAL = tuple(
  e.exit_code for e in (ConfigError, DataError, NonFiniteError, Collapsed)
)
# Codes after which the run can be resumed from its last checkpoint.
AGAIN = tuple(e.exit_code for e in (Preempted, Hung, StorageError))
# Codes of a process that was aborted, killed or terminated: by JAX, by a kernel
# without memory, or with its host. It is tried again if no host says why.
KILLED = (134, 137, 143)
# Codes that give the reason for the end of a run, the most telling ones first.
TELLING = (*FINAL, *AGAIN, BUG, *KILLED)
# The exit code of ssh when it cannot reach a host.
UNREACHABLE = 255


def telling(codes: Collection[int], otherwise: int) -> int:
  """Chooses the exit code that gives the reason for the end of a run.

  Args:
    codes: The known exit codes of hosts.
    otherwise: The result if none of them gives a reason.

  Returns:
    The first of `TELLING` that is among the codes.
  """
  return next((code for code in TELLING if code in codes), otherwise)
