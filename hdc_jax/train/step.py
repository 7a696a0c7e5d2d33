"""The state of a training run, and the function that advances it by a step."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hdc_jax import key_queue
from hdc_jax.augment import views as views_lib
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.objective import Batch, Metrics, Objective, Pair
from hdc_jax.train import microbatches


@flax.struct.dataclass
class TrainState:
  """Everything that a step changes, replicated over devices except the queue.

  Attributes:
    step: Steps taken, an int32 scalar.
    params: Parameters of the backbone and the heads, float32.
    batch_stats: Running means of batch norms, float32; empty without any.
    opt_state: State of the optimizer.
    ema: Running mean of `params`, which encodes the positives; empty without
      one.
    queue: Keys of earlier batches, float32 [M, B, N, D] by name of the
      embedding, see `key_queue`; empty without one. The axis B is sharded.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: optax.OptState
  ema: Any = flax.struct.field(default_factory=dict)
  queue: Any = flax.struct.field(default_factory=dict)

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


# A function that maps a state, a batch and a key for what is random in the
# network to the next state, the metrics, and the embeddings that the loss
# compares. The batch has 'views', unless the function gets `show` to add them.
Update = Callable[..., tuple[TrainState, Metrics, Mapping[str, Pair]]]
# A compiled function that maps a state and a batch of clips to the same.
TrainStep = jax.stages.Wrapped


def shardings(mesh: Mesh) -> TrainState:
  """How a state is laid out: the sharding of each of its fields.

  Args:
    mesh: A mesh with the axis 'data'.
  """
  everywhere = mesh_lib.replicated(mesh)
  fields = [field.name for field in dataclasses.fields(TrainState)]
  split = NamedSharding(mesh, PartitionSpec(None, "data"))
  layout: dict[str, Any] = dict.fromkeys(fields, everywhere)
  return TrainState(**layout | {"queue": split})


def init_state(
  objective: Objective,
  tx: optax.GradientTransformation,
  shape: Sequence[int],
  seed: int,
) -> TrainState:
  """Makes the state before the first step.

  Args:
    objective: The network to initialise, and its loss.
    tx: The optimizer.
    shape: Shape of the views of a batch, [B, V, T, H, W, 3].
    seed: Seed of the initial weights.
  """
  network = objective.network
  variables = network.init(jax.random.key(seed), jnp.zeros((1, *shape[1:])))
  params, batch_stats = variables["params"], variables.get("batch_stats", {})
  step = jnp.zeros((), jnp.int32)
  ema = params if objective.momentum else {}
  state = TrainState(step, params, batch_stats, tx.init(params), ema)
  if not objective.queue:
    return state
  views = jax.ShapeDtypeStruct(shape, jnp.float32)
  key = jax.eval_shape(lambda: jax.random.key(seed))
  _, outcome = jax.eval_shape(
    objective.loss, params, state, {"views": views}, key
  )
  batches = objective.queue // shape[0]
  return dataclasses.replace(
    state,
    queue={
      name: jnp.zeros((batches, *keys.shape), keys.dtype)
      for name, keys in outcome.keys.items()
    },
  )


def without_update(state: TrainState) -> TrainState:
  """The state after a step that updates nothing: only its counters go on.

  Choice: they go on, also that of the learning rate's schedule, so that the
  videos, all that is random and the rate of a step depend on its number alone,
  whatever was skipped before.

  Args:
    state: The state before the step.
  """
  return jax.tree.map(
    lambda x: x + 1 if jnp.issubdtype(x.dtype, jnp.integer) else x, state
  )


def updated_if(
  finite: jax.Array, state: TrainState, updated: TrainState
) -> TrainState:
  """The state after a step, which is skipped if it is not finite.

  Args:
    finite: Whether it is finite, a bool scalar.
    state: The state before the step.
    updated: The state with what the step has updated.
  """
  return jax.tree.map(
    lambda new, old: jnp.where(finite, new, old), updated, without_update(state)
  )


def _ready(batch: Batch, positions: jax.Array) -> Batch:
  """The batch as it is: its views have been made."""
  del positions
  return batch


def make_update(
  objective: Objective,
  tx: optax.GradientTransformation,
  count: int = 1,
) -> Update:
  """Makes the part of a step after augmentation: loss, gradients, update.

  With a momentum m, ema ← m·ema + (1 - m)·params. With a queue, the keys of
  this batch then replace the oldest.

  A step whose loss, gradient or update is not finite, or whose running means of
  batch norms are not, is skipped, see `without_update`. All of these are
  replicated, so that devices agree without exchanging anything more.

  Args:
    objective: The loss and its metrics.
    tx: The optimizer.
    count: Number of microbatches in which a batch is encoded, see
      `microbatches`; more than one needs `objective.parts`.

  Returns:
    A traceable function of the state, a batch with 'views' [B, V, T, H, W, 3],
    a key for what is random in the network, and `show`, which adds the views to
    a batch without them. It returns the next state; the metrics, scalars:
    `loss`, `grad_norm`, `skipped` (1 if the step is skipped, else 0) and those
    that the loss function returns; and the pairs of `Outcome.pairs`, for
    `health.measure`.
  """
  whole = jax.value_and_grad(objective.loss, has_aux=True)

  def update(
    state: TrainState,
    batch: Batch,
    key: jax.Array,
    show: microbatches.Show = _ready,
  ) -> tuple[TrainState, Metrics, Mapping[str, Pair]]:
    if count > 1:
      assert objective.parts is not None, "no loss in parts"
      (value, outcome), grads = microbatches.value_and_grad(
        objective.parts, count, state.params, state, batch, show
      )
    else:
      positions = jnp.arange(len(jax.tree.leaves(batch)[0]))
      shown = show(batch, positions)
      (value, outcome), grads = whole(state.params, state, shown, key)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    norm = optax.tree.norm(grads)
    changes = optax.tree.norm((updates, outcome.batch_stats))
    finite = jnp.isfinite(value) & jnp.isfinite(norm) & jnp.isfinite(changes)
    metrics = outcome.metrics | {
      "loss": value,
      "grad_norm": norm,
      "skipped": 1 - finite.astype(jnp.int32),
    }
    ema = {}
    if objective.momentum:
      ema = optax.incremental_update(
        params, state.ema, 1.0 - objective.momentum
      )
    queue = key_queue.store(state.queue, outcome.keys, state.step)
    updated = TrainState(
      state.step + 1, params, outcome.batch_stats, opt_state, ema, queue
    )
    return updated_if(finite, state, updated), metrics, outcome.pairs

  return update


def make_train_step(
  update: Update, views: Sequence[views_lib.View], mesh: Mesh, seed: int
) -> TrainStep:
  """Makes the jitted, sharded step: augmentation and `update`.

  Args:
    update: A function from `make_update`.
    views: The views into which clips are augmented.
    mesh: A mesh with the axis 'data'.
    seed: Seed of the augmentations. They depend on the seed, on the step and on
      the position of the video in the global batch, and on nothing else.

  Returns:
    A function of the state and a batch of the loader ('y', 'uv' and more, see
    `training_clips.CutClips.random_map`) to what `update` returns.
  """

  def train_step(
    state: TrainState, batch: Batch
  ) -> tuple[TrainState, Metrics, Mapping[str, Pair]]:
    key = jax.random.fold_in(jax.random.key(seed), state.step)

    def show(batch: Batch, positions: jax.Array) -> Batch:
      # Profiles show the augmentation under this name.
      with jax.named_scope("augment"):
        augmented = views_lib.make_views(views, key, batch, positions)
      return {**batch, "views": augmented}

    return update(state, batch, key, show)

  return jit(train_step, mesh, donate=True)


def jit(
  function: Callable[[TrainState, Batch], tuple], mesh: Mesh, *, donate: bool
) -> TrainStep:
  """Compiles a function that advances a state by a batch.

  Args:
    function: A traceable function of a state and a global batch. It returns
      what an `Update` does.
    mesh: The devices to compile for. The embeddings stay split over them.
    donate: Whether the results may reuse the memory of the state.
  """
  layout = shardings(mesh)
  return mesh_lib.jit(
    function,
    mesh,
    state=layout,
    results=(layout, mesh_lib.replicated(mesh), mesh_lib.batched(mesh)),
    donate=donate,
  )
