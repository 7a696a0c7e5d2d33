"""A run put together from its config, before any data or state."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import ml_collections
from jax.sharding import Mesh

from hdc_jax import methods, models
from hdc_jax.augment import views as views_lib
from hdc_jax.data.clips import sampling
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.methods import base
from hdc_jax.train import checkpoint, optimizer
from hdc_jax.train import step as step_lib


@dataclasses.dataclass(frozen=True)
class Trainer:
  """What a config describes.

  Attributes:
    mesh: Over all devices.
    network: Of a batch's views; its `backbone` is from clips to endpoints.
    views: Made of every video.
    views_shape: Of the views of one video, [V, T, H, W, 3].
    starts: Of the clips that the views are of.
    loss: In words.
    init: Makes the first state; traceable.
    update: From a state and 'views' to the next state and metrics; traceable.
    train_step: From a state and clips to the next state and metrics.
  """

  mesh: Mesh
  network: nn.Module
  views: tuple[views_lib.View, ...]
  views_shape: tuple[int, ...]
  starts: sampling.Starts
  loss: str
  init: Callable[[], step_lib.TrainState]
  update: step_lib.TrainStep
  train_step: step_lib.TrainStep

  def init_state(self) -> step_lib.TrainState:
    """The state before the first step, replicated over the mesh."""
    return mesh_lib.run_once(self.init, self.mesh)

  def restore_state(
    self, saved: checkpoint.Checkpoints, step: int
  ) -> checkpoint.Restored:
    """The state of a saved step, replicated over the mesh."""
    return saved.restore(
      step, mesh_lib.abstract_replicated(jax.eval_shape(self.init), self.mesh)
    )


def make_trainer(config: ml_collections.ConfigDict, mesh: Mesh) -> Trainer:
  """Builds the pretraining that `config` describes.

  Raises:
    ConfigError: If a name is unknown or a field does not fit another.
  """
  method = methods.make_method(config)
  network = base.Network(models.make_backbone(config.model), method)

  def loss_fn(
    params: Any, state: step_lib.TrainState, batch: step_lib.Batch
  ) -> tuple[jax.Array, tuple[step_lib.Metrics, Any]]:
    def embed(params: Any, wanted: tuple[base.Embedding, ...]) -> Any:
      return network.apply(
        {"params": params, "batch_stats": state.batch_stats},
        batch["views"],
        train=True,
        wanted=wanted,
        mutable=["batch_stats"],
      )

    if method.momentum:
      keys, _ = embed(state.ema, method.keys)
      embeddings, updated = embed(params, method.anchors)
      embeddings = keys | embeddings
    else:
      embeddings, updated = embed(params, method.embeddings)
    with jax.named_scope("loss"):
      loss, metrics = method.loss(embeddings)
    return loss, (metrics, updated.get("batch_stats", {}))

  terms = " + ".join(f"{t.weight:g}·{t.name}" for t in method.terms)
  return assemble(
    config,
    mesh,
    network,
    method.views,
    method.starts,
    loss_fn,
    terms,
    method.momentum,
  )


def assemble(
  config: ml_collections.ConfigDict,
  mesh: Mesh,
  network: nn.Module,
  views: tuple[views_lib.View, ...],
  starts: sampling.Starts,
  loss_fn: step_lib.LossFn,
  loss: str,
  momentum: float = 0.0,
) -> Trainer:
  """The trainer of a network.

  Args:
    config: Of the run; `optim`, `seed`, and the shape of the views are used.
    mesh: Over all devices.
    network: Of views.
    views: Made of every video.
    starts: Of the clips that they are of.
    loss_fn: See `step.make_update`.
    loss: The same in words.
    momentum: See `step.make_update`.
  """
  tx = optimizer.make_optimizer(config)
  size = config.model.size
  shape = (len(views), config.data.frames, size, size, 3)

  def init() -> step_lib.TrainState:
    return step_lib.init_state(network, tx, (1, *shape), config.seed, momentum)

  # Under this name in profiles; what is outside of it augments.
  update = jax.named_scope("update")(
    step_lib.make_update(loss_fn, tx, momentum)
  )
  train_step = step_lib.make_train_step(update, views, mesh, config.seed)
  return Trainer(
    mesh, network, views, shape, starts, loss, init, update, train_step
  )
