"""The gradient of a loss whose batch is encoded in microbatches (GradCache).

The loss compares all videos of the batch, so it cannot be summed over
microbatches. Instead (Gao et al., arXiv 2101.06983):

1. Each microbatch is encoded, and only its features are kept.
2. The loss of all features is computed, with its gradient by each feature.
3. Each microbatch is encoded again, and the gradients of its features are
   carried on to the parameters, where they are summed.

The gradient is that of the whole batch, at the cost of a second forward pass.
Activations take the memory of one microbatch. A microbatch has as many videos
of each device, whose views are made with the random keys of their positions in
the batch, twice alike.

Choice: the features are pooled, and not yet projected. So batch norm in a
head, as CVRL's has it, takes its statistics over the whole batch. Batch norm in
a backbone takes those of a microbatch, over all devices, and its running means
advance once in a step, by the mean of the microbatches' statistics.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hdc_jax.objective import Batch, Outcome, Parts, Variables

# A function of some videos of a batch, and of their positions in the batch, to
# the same with 'views'.
Show = Callable[[Batch, jax.Array], Batch]


def value_and_grad(
  parts: Parts,
  count: int,
  params: Any,
  variables: Variables,
  batch: Batch,
  show: Show,
) -> tuple[tuple[jax.Array, Outcome], Any]:
  """Computes a loss and its gradient, one microbatch after the other.

  Args:
    parts: The parts of the loss.
    count: Number of microbatches, which divides the videos of each device.
    params: The trained parameters.
    variables: The other variables.
    batch: The arrays of the whole batch, [B, …] by name.
    show: Adds the views to a microbatch.

  Returns:
    The loss and its outcome, and the gradient by the parameters.
  """
  size = len(jax.tree.leaves(batch)[0])
  mesh = jax.sharding.get_abstract_mesh()
  devices = 1 if mesh.empty else mesh.size

  def take(tree: Any, index: jax.Array) -> Any:
    """The rows of a microbatch, the same number of each device."""

    def rows(x: jax.Array) -> jax.Array:
      x = x.reshape(devices, count, -1, *x.shape[1:])
      x = jax.lax.dynamic_index_in_dim(x, index, axis=1, keepdims=False)
      return x.reshape(size // count, *x.shape[2:])

    return jax.tree.map(rows, tree)

  def join(x: jax.Array) -> jax.Array:
    """[count, B / count, …] → [B, …], in the order of the batch."""
    x = x.reshape(count, devices, -1, *x.shape[2:]).swapaxes(0, 1)
    return x.reshape(size, *x.shape[3:])

  def shown(index: jax.Array) -> Batch:
    return show(take(batch, index), take(jnp.arange(size), index))

  indices = jnp.arange(count)
  features, batch_stats = jax.lax.map(
    lambda index: parts.encode(params, variables, shown(index)), indices
  )
  features = jax.tree.map(join, features)
  batch_stats = jax.tree.map(lambda x: jnp.mean(x, axis=0), batch_stats)
  compare = jax.value_and_grad(parts.compare, argnums=(0, 2), has_aux=True)
  compared, (gradient, by_features) = compare(
    params, variables, features, batch_stats
  )

  def add(gradient: Any, index: jax.Array) -> tuple[Any, None]:
    views = shown(index)
    _, pull_back, _ = jax.vjp(
      lambda params: parts.encode(params, variables, views),
      params,
      has_aux=True,
    )
    (more,) = pull_back(take(by_features, index))
    return optax.tree.add(gradient, more), None

  gradient, _ = jax.lax.scan(add, gradient, indices)
  return compared, gradient
