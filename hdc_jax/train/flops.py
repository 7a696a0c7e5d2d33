"""FLOPs of a program, counted without running or compiling it."""

from collections.abc import Callable
from typing import Any

import jax


def count_flops(function: Callable, *arguments: Any) -> float:
  """Counts the FLOPs of one call: two for a multiplication and an addition.

  The count is that of the program for a GPU, where convolutions are XLA's own:
  those that are fast on other platforms also multiply zeros.

  Args:
    function: A traceable function.
    *arguments: Its arguments: arrays, or their shapes and dtypes.
  """
  lowered = (
    jax.jit(function).trace(*arguments).lower(lowering_platforms=("cuda",))
  )
  analysis = lowered.cost_analysis()
  assert analysis is not None, "XLA analyses every program before compiling it"
  return analysis["flops"]
