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
    batch_stats: Running means of batch norms, float32; empty without any.
    opt_state: Of the optimizer.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: optax.OptState

  def backbone(self) -> dict[str, Any]:
    """The backbone's variables, as its `apply` takes them."""
    return {
      "params": self.params["backbone"],
      "batch_stats": self.batch_stats.get("backbone", {}),
    }


Metrics = dict[str, jax.Array]
Update = Callable[[TrainState, jax.Array], tuple[TrainState, Metrics]]
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
  variables = network.init(jax.random.key(seed), jnp.zeros(shape))
  params, batch_stats = variables["params"], variables.get("batch_stats", {})
  step = jnp.zeros((), jnp.int32)
  return TrainState(step, params, batch_stats, tx.init(params))


def make_update(
  network: nn.Module, method: base.Method, tx: optax.GradientTransformation
) -> Update:
  """What follows the augmentation: encode, contrast, update.

  Args:
    network: `base.Network` of the method.
    method: Its loss.
    tx: The optimizer.

  Returns:
    A traceable function of the state and views [B, V, T, H, W, 3] to the next
    state and scalar metrics: loss, grad_norm, and loss and accuracy of every
    term.
  """

  def update(state: TrainState, views: jax.Array) -> tuple[TrainState, Metrics]:
    def loss_fn(params: Any) -> tuple[jax.Array, tuple[Metrics, Any]]:
      variables = {"params": params, "batch_stats": state.batch_stats}
      embeddings, updated = network.apply(
        variables, views, train=True, mutable=["batch_stats"]
      )
      loss, metrics = method.loss(embeddings)
      return loss, (metrics, updated.get("batch_stats", {}))

    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, (metrics, batch_stats)), grads = grad_fn(state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics |= {"loss": loss, "grad_norm": optax.tree.norm(grads)}
    state = TrainState(state.step + 1, params, batch_stats, opt_state)
    return state, metrics

  return update


def jit_step(step: Callable, mesh: Mesh) -> Callable:
  """Compiles a function of a state and a batch for the devices of a mesh.

  It is written for the global batch. The batch is sharded over the mesh and the
  state replicated; the compiler inserts the all-gather of the keys and the
  all-reduce of the gradients. The state's memory is reused (donated).
  """
  everywhere = sharding.replicated(mesh)
  return jax.jit(
    step,
    in_shardings=(everywhere, sharding.batched(mesh)),
    out_shardings=everywhere,
    donate_argnums=0,
    compiler_options=sharding.compiler_options(mesh),
  )


def make_train_step(
  update: Update, views: Sequence[views_lib.View], mesh: Mesh, seed: int
) -> TrainStep:
  """The jitted, sharded step: augment, then `update`.

  Args:
    update: From `make_update`.
    views: To be made of the clips.
    mesh: With axis 'data'.
    seed: Of the augmentations, which depend on it, the step and the position
      in the global batch.

  Returns:
    A function of the state and 'y', 'uv' clips to the next state and metrics.
  """

  def train_step(
    state: TrainState, clips: dict[str, jax.Array]
  ) -> tuple[TrainState, Metrics]:
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    return update(state, views_lib.make_views(views, key, clips))

  return jit_step(train_step, mesh)
