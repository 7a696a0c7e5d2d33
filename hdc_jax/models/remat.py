"""Blocks whose activations are computed twice, to save memory.

The backward pass needs the activations of the forward pass. For the blocks that
`model.remat` lists, it keeps only what goes into the block, and computes the
rest again when it comes to it (Chen et al., arXiv 1604.06174). The result is
the same but for rounding, where the compiler fuses other operations.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn


def call(
  function: Callable[..., Any],
  network: nn.Module,
  block: str,
  *inputs: Any,
  blocks: Sequence[int],
) -> Any:
  """Calls a block of a network.

  Args:
    function: Function of the network and of `inputs`, which creates the modules
      of the block. Their names are those that they would have without it.
    network: The network, within its `__call__`.
    block: Name of the block's endpoint, such as 'block2'.
    *inputs: What goes into the block, arrays.
    blocks: Numbers of the blocks whose activations are computed again.

  Returns:
    What the function returns.
  """
  if int(block.removeprefix("block")) in blocks:
    function = nn.remat(function)
  return function(network, *inputs)
