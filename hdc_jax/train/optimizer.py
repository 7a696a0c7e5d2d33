"""SGD as Keras computes it, which the HDC paper used."""

from typing import Any

import jax
import ml_collections
import optax


def inverse_time(lr: float, decay: float) -> optax.Schedule:
  """Keras SGD's `decay`: lr / (1 + decay · step)."""
  return lambda step: lr / (1.0 + decay * step)


def kernels(params: Any) -> Any:
  """Which parameters are kernels: not biases, not the scales of norms."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: path[-1].key == "kernel", params
  )


def keras_sgd(
  config: ml_collections.ConfigDict,
) -> optax.GradientTransformation:
  """Momentum SGD with inverse-time decay and coupled L2 on kernels.

  Keras keeps the learning rate inside of the velocity, v ← m·v - lr·g, so that
  a change of the rate does not rescale past steps; hence the scale comes before
  the trace. L2 is the loss λ·Σw² of Keras, whose gradient is 2λ·w.

  Args:
    config: `lr`, `momentum`, `decay` and `l2`.
  """
  schedule = inverse_time(config.lr, config.decay)
  return optax.chain(
    optax.add_decayed_weights(2 * config.l2, mask=kernels),
    optax.scale_by_schedule(lambda step: -schedule(step)),
    optax.trace(config.momentum),
  )
