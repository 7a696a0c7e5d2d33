"""The state of a run and the one function that advances it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from hdc_jax.augment import views as views_lib
from hdc_jax.distributed import mesh as mesh_lib


@flax.struct.dataclass
class TrainState:
  """All that a step changes; replicated over devices.

  Attributes:
    step: int32 scalar, steps taken.
    params: Of the backbone and the heads, float32.
    batch_stats: Running means of batch norms, float32; empty without any.
    opt_state: Of the optimizer.
    ema: Of the params, for the encoder of the keys; empty without one.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: optax.OptState
  ema: Any = flax.struct.field(default_factory=dict)

  def backbone(self) -> dict[str, Any]:
    """The backbone's variables, as its `apply` takes them."""
    return {
      "params": self.params["backbone"],
      "batch_stats": self.batch_stats.get("backbone", {}),
    }

  def with_backbone(self, variables: Mapping[str, Any]) -> "TrainState":
    """The state with other variables for the backbone, heads as they are."""
    return self.replace(
      **{
        collection: getattr(self, collection) | {"backbone": tree}
        for collection, tree in variables.items()
        if tree
      }
    )


Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
# (params, the state, 'views' and more) → (loss, (metrics, batch_stats))
LossFn = Callable[
  [Any, TrainState, Batch], tuple[jax.Array, tuple[Metrics, Any]]
]
TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def init_state(
  network: nn.Module,
  tx: optax.GradientTransformation,
  shape: Sequence[int],
  seed: int,
  momentum: float = 0.0,
) -> TrainState:
  """The state before the first step.

  Args:
    network: Of views; see `trainer`.
    tx: The optimizer.
    shape: Of the views of one video, [1, V, T, H, W, 3].
    seed: Of the weights.
    momentum: Of the mean of the params, 0 for none.
  """
  variables = network.init(jax.random.key(seed), jnp.zeros(shape))
  params, batch_stats = variables["params"], variables.get("batch_stats", {})
  step = jnp.zeros((), jnp.int32)
  ema = params if momentum else {}
  return TrainState(step, params, batch_stats, tx.init(params), ema)


def make_update(
  loss_fn: LossFn, tx: optax.GradientTransformation, momentum: float = 0.0
) -> TrainStep:
  """What follows the augmentation: encode, compare, update.

  Args:
    loss_fn: Of the params, the state they are of, and a batch.
    tx: The optimizer.
    momentum: m of ema ← m·ema + (1 - m)·params; 0 for none.

  Returns:
    A traceable function of the state and a batch with 'views' [B, V, T, H, W,
    3] to the next state and scalar metrics: those of the loss, `loss` itself
    and `grad_norm`.
  """

  def update(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, (metrics, batch_stats)), grads = grad_fn(state.params, state, batch)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics |= {"loss": loss, "grad_norm": optax.tree.norm(grads)}
    ema = {}
    if momentum:
      ema = optax.incremental_update(params, state.ema, 1.0 - momentum)
    state = TrainState(state.step + 1, params, batch_stats, opt_state, ema)
    return state, metrics

  return update


def make_train_step(
  update: TrainStep, views: Sequence[views_lib.View], mesh: Mesh, seed: int
) -> TrainStep:
  """The jitted, sharded step: augment, then `update`.

  Args:
    update: From `make_update`.
    views: To be made of the clips.
    mesh: With axis 'data'.
    seed: Of the augmentations, which depend on it, the step and the position
      in the global batch.

  Returns:
    A function of the state and what the loader gives ('y', 'uv' and more) to
    the next state and metrics.
  """

  def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    return update(
      state, batch | {"views": views_lib.make_views(views, key, batch)}
    )

  return mesh_lib.jit(train_step, mesh, donate=True)
