"""The state of a training run, and the function that advances it by a step."""

import dataclasses
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
from hdc_jax.objective import Batch, Loss, Metrics


@flax.struct.dataclass
class TrainState:
  """Everything that a step changes, replicated over devices.

  Attributes:
    step: Steps taken, an int32 scalar.
    params: Parameters of the backbone and the heads, float32.
    batch_stats: Running means of batch norms, float32; empty without any.
    opt_state: State of the optimizer.
    ema: Running mean of `params`, which encodes the keys; empty without one.
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
    """The state with other variables for the backbone, and the same heads.

    Args:
      variables: The backbone's variables by collection, see `backbone`.
    """
    return dataclasses.replace(
      self,
      **{
        collection: getattr(self, collection) | {"backbone": tree}
        for collection, tree in variables.items()
        if tree
      },
    )


# A function that maps a state, a batch with 'views' and a key for what is
# random in the network to the next state and the metrics.
Update = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]
# A compiled function that maps a state and a batch of clips to the next state
# and the metrics.
TrainStep = jax.stages.Wrapped


def init_state(
  network: nn.Module,
  tx: optax.GradientTransformation,
  shape: Sequence[int],
  seed: int,
  momentum: float = 0.0,
) -> TrainState:
  """Makes the state before the first step.

  Args:
    network: The module to initialise, which takes views.
    tx: The optimizer.
    shape: Shape of the views of one video, [1, V, T, H, W, 3].
    seed: Seed of the initial weights.
    momentum: Decay m of the running mean of the parameters; 0 for none.
  """
  variables = network.init(jax.random.key(seed), jnp.zeros(shape))
  params, batch_stats = variables["params"], variables.get("batch_stats", {})
  step = jnp.zeros((), jnp.int32)
  ema = params if momentum else {}
  return TrainState(step, params, batch_stats, tx.init(params), ema)


def make_update(
  loss: Loss, tx: optax.GradientTransformation, momentum: float = 0.0
) -> Update:
  """Makes the part of a step after augmentation: loss, gradients, update.

  Args:
    loss: The loss and its metrics, see `objective.Loss`.
    tx: The optimizer.
    momentum: Decay m of the running mean of the parameters,
      ema ← m·ema + (1 - m)·params; 0 for none.

  Returns:
    A traceable function of the state, a batch with 'views' [B, V, T, H, W, 3]
    and a key for what is random in the network. It returns the next state and
    the metrics, scalars: `loss`, `grad_norm` and those that the loss function
    returns.
  """

  def update(
    state: TrainState, batch: Batch, key: jax.Array
  ) -> tuple[TrainState, Metrics]:
    (value, (metrics, batch_stats)), grads = jax.value_and_grad(
      loss, has_aux=True
    )(state.params, state, batch, key)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics |= {"loss": value, "grad_norm": optax.tree.norm(grads)}
    ema = {}
    if momentum:
      ema = optax.incremental_update(params, state.ema, 1.0 - momentum)
    state = TrainState(state.step + 1, params, batch_stats, opt_state, ema)
    return state, metrics

  return update


def make_train_step(
  update: Update, views: Sequence[views_lib.View], mesh: Mesh, seed: int
) -> TrainStep:
  """Makes the jitted, sharded step: augment, then `update`.

  Args:
    update: A function from `make_update`.
    views: The views into which clips are augmented.
    mesh: A mesh with the axis 'data'.
    seed: Seed of the augmentations. They depend on the seed, on the step and on
      the position of the video in the global batch, and on nothing else.

  Returns:
    A function of the state and a batch of the loader ('y', 'uv' and more, see
    `cutting.CutClips.random_map`) to the next state and the metrics.
  """

  def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    augmented = views_lib.make_views(views, key, batch)
    return update(state, {**batch, "views": augmented}, key)

  return mesh_lib.jit(train_step, mesh, donate=True)
