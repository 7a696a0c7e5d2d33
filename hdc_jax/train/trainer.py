"""A run put together from its config, before any data or state."""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import ml_collections
from jax.sharding import Mesh

from hdc_jax import methods, models
from hdc_jax.methods import base
from hdc_jax.train import checkpoint, optimizer, sharding
from hdc_jax.train import step as step_lib


@dataclasses.dataclass(frozen=True)
class Trainer:
  """What a config describes.

  Attributes:
    mesh: Over all devices.
    method: Views and terms.
    backbone: From clips to endpoints; see `TrainState.backbone`.
    views_shape: Of the views of one video, [V, T, H, W, 3].
    init: Makes the first state; traceable.
    update: From a state and views to the next state and metrics; traceable.
    train_step: From a state and clips to the next state and metrics.
  """

  mesh: Mesh
  method: base.Method
  backbone: nn.Module
  views_shape: tuple[int, ...]
  init: Callable[[], step_lib.TrainState]
  update: step_lib.Update
  train_step: step_lib.TrainStep

  def init_state(self) -> step_lib.TrainState:
    """The state before the first step, replicated over the mesh."""
    return jax.jit(
      self.init,
      out_shardings=sharding.replicated(self.mesh),
      compiler_options=sharding.compiler_options(self.mesh, once=True),
    )()

  def restore_state(
    self, saved: checkpoint.Checkpoints, step: int
  ) -> checkpoint.Restored:
    """The state of a saved step, replicated over the mesh."""
    everywhere = sharding.replicated(self.mesh)
    abstract = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
      jax.eval_shape(self.init),
    )
    return saved.restore(step, abstract)


def make_trainer(config: ml_collections.ConfigDict, mesh: Mesh) -> Trainer:
  """Builds the run that `config` describes.

  Raises:
    ConfigError: If a name is unknown or a field does not fit another.
  """
  method = methods.make_method(config)
  backbone = models.make_backbone(config.model)
  network = base.Network(backbone, method)
  tx = optimizer.keras_sgd(config.optim)

  size = config.model.size
  shape = (len(method.views), config.data.frames, size, size, 3)

  def init() -> step_lib.TrainState:
    return step_lib.init_state(network, tx, (1, *shape), config.seed)

  update = step_lib.make_update(network, method, tx)
  train_step = step_lib.make_train_step(update, method.views, mesh, config.seed)
  return Trainer(mesh, method, backbone, shape, init, update, train_step)
