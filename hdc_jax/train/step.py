"""The state of a run and the one function that advances it."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from hdc_jax.augment import views as views_lib
from hdc_jax.methods import base
from hdc_jax.train import sharding


@flax.struct.dataclass
class TrainState:
  """All that a step changes; replicated over devices.

  Attributes:
    step: int32 scalar, steps taken.
    params: Of the backbone and the heads, float32.
    opt_state: Of the optimizer.
  """

  step: jax.Array
  params: Any
  opt_state: optax.OptState


Metrics = dict[str, jax.Array]
TrainStep = Callable[
  [TrainState, dict[str, jax.Array]], tuple[TrainState, Metrics]
]


def init_state(
  network: nn.Module,
  tx: optax.GradientTransformation,
  shape: Sequence[int],
  seed: int,
) -> TrainState:
  """The state before the first step.

  Args:
    network: `base.Network` of the method.
    tx: The optimizer.
    shape: Of the views of one video, [1, V, T, H, W, 3].
    seed: Of the weights.
  """
  params = network.init(jax.random.key(seed), jnp.zeros(shape))["params"]
  return TrainState(jnp.zeros((), jnp.int32), params, tx.init(params))


def make_train_step(
  network: nn.Module,
  method: base.Method,
  tx: optax.GradientTransformation,
  mesh: Mesh,
  seed: int,
) -> TrainStep:
  """The jitted, sharded step: augment, encode, contrast, update.

  It is written for the global batch. The batch is sharded over the mesh and the
  state replicated; the compiler inserts the all-gather of the keys and the
  all-reduce of the gradients. The state's memory is reused (donated).

  Args:
    network: `base.Network` of the method.
    method: Its views and loss.
    tx: The optimizer.
    mesh: With axis 'data'.
    seed: Of the augmentations, which depend on it, the step and the position
      in the global batch.

  Returns:
    A function of the state and 'y', 'uv' clips to the next state and scalar
    metrics: loss, grad_norm, and loss and accuracy of every term.
  """

  def train_step(
    state: TrainState, clips: dict[str, jax.Array]
  ) -> tuple[TrainState, Metrics]:
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    views = views_lib.make_views(method.views, key, clips)

    def loss_fn(params: Any) -> tuple[jax.Array, Metrics]:
      return method.loss(network.apply({"params": params}, views))

    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, metrics), grads = grad_fn(state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics |= {"loss": loss, "grad_norm": optax.tree.norm(grads)}
    return TrainState(state.step + 1, params, opt_state), metrics

  everywhere = sharding.replicated(mesh)
  return jax.jit(
    train_step,
    in_shardings=(everywhere, sharding.batched(mesh)),
    out_shardings=everywhere,
    donate_argnums=0,
  )
