"""FLOPs of a program, counted without running or compiling it."""

from collections.abc import Callable
from typing import Any

import jax


def count_flops(function: Callable, *arguments: Any) -> float:
  """FLOPs of one call, a multiplication and an addition being two.

  As the algorithm has them: what a TPU would be asked to compute, whatever this
  platform's lowering does.

  Args:
    function: Traceable.
    *arguments: Arrays, or their shapes and dtypes.
  """
  lowered = (
    jax.jit(function).trace(*arguments).lower(lowering_platforms=("tpu",))
  )
  analysis = lowered.cost_analysis()
  assert analysis is not None, "XLA analyses every program before compiling it"
  return analysis["flops"]
