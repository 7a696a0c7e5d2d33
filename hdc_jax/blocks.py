"""Functions of anchors and keys, computed for a block of anchors at a time.

The products of B anchors with C candidates at N temporal positions are an array
[N, B, C]: with HDC's six terms and B = 32,768, all that is derived of them
takes 73 GB on one device. A loss needs a row of it at a time. So where the rows
of a device are too many, the loss is computed block by block, and its gradient
computes the block once more. Small batches are one block, without any loop.

Under `jit` with batch-sharded arguments, each device has blocks of its own
anchors. The keys are gathered once, before the loop, and their gradients are
summed over devices once, after it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

# At most so many products are in a block of a device: 64 MiB of float32. That
# is all products of 1,448 anchors at four positions, or 512 anchors of 32,768
# at one.
PRODUCTS = 1 << 24


def map_anchors(
  function: Callable[[Any, Any], Any], own: Any, shared: Any, products: int
) -> Any:
  """Applies a function to all anchors, in blocks if they are many.

  The number of devices is that of the mesh in whose context the call is traced,
  see `distributed.mesh.jit`; without one, it is one.

  Args:
    function: A traceable function of the arrays [A, …] of any A anchors, and of
      what all anchors share. It returns a pytree of arrays [A, …]; the row of
      an anchor depends on no other anchor.
    own: A pytree of arrays [B, …] with a row for each anchor.
    shared: A pytree of arrays, such as the keys of the batch.
    products: Number of products that the function computes for an anchor.

  Returns:
    What the function returns for all anchors, a pytree of arrays [B, …].
  """
  batch = len(jax.tree.leaves(own)[0])
  mesh = jax.sharding.get_abstract_mesh()
  devices = 1 if mesh.empty or batch % mesh.size else mesh.size
  local = batch // devices
  blocks = -(-local // max(1, PRODUCTS // products))
  if blocks == 1:
    return function(own, shared)
  rows = -(-local // blocks)

  def split(x: jax.Array) -> jax.Array:
    """[B, …] → [blocks, devices, rows, …], with zeros after the last row."""
    x = x.reshape(devices, local, *x.shape[1:])
    padding = [(0, 0)] * x.ndim
    padding[1] = (0, blocks * rows - local)
    x = jnp.pad(x, padding).reshape(devices, blocks, rows, *x.shape[2:])
    return x.swapaxes(0, 1)

  def join(x: jax.Array) -> jax.Array:
    """[blocks, devices, rows, …] → [B, …]."""
    x = x.swapaxes(0, 1).reshape(devices, blocks * rows, *x.shape[3:])
    return x[:, :local].reshape(batch, *x.shape[2:])

  def copy(x: jax.Array) -> jax.Array:
    """A copy for each device, so that gradients are summed after the loop."""
    copies = jnp.broadcast_to(x, (devices, *x.shape))
    if devices == 1:
      return copies
    return jax.lax.with_sharding_constraint(
      copies, PartitionSpec(mesh.axis_names)
    )

  copies = jax.tree.map(copy, shared)
  # Of a block, the loop keeps nothing but what the function is applied to.
  block = jax.checkpoint(
    lambda own: jax.vmap(function)(own, copies), prevent_cse=False
  )
  return jax.tree.map(join, jax.lax.map(block, jax.tree.map(split, own)))
