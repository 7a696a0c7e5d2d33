"""The training of an objective: its initial state and its train step."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import optax
from jax.sharding import Mesh

from hdc_jax import health
from hdc_jax.checkpoints import restoring
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.objective import Metrics, Objective, Pair
from hdc_jax.train import step as step_lib


@dataclasses.dataclass(frozen=True)
class Training:
  """The functions that train an objective on a mesh.

  Attributes:
    objective: The network, its views and its loss.
    mesh: All devices of the run.
    views_shape: Shape of the views of one video, [V, T, H, W, 3].
    init: A traceable function that makes the first state.
    update: The traceable part of a step after augmentation, of a whole batch
      at once, see `step.make_update`.
    train_step: The compiled step, see `step.make_train_step`.
    skip: The compiled step over a batch, see `step.without_update`.
    measure: Measures the health of the embeddings that a step returns, see
      `health.measure`.
  """

  objective: Objective
  mesh: Mesh
  views_shape: tuple[int, ...]
  init: Callable[[], step_lib.TrainState]
  update: step_lib.Update
  train_step: step_lib.TrainStep
  skip: Callable[[step_lib.TrainState], step_lib.TrainState]
  measure: Callable[[Mapping[str, Pair]], Metrics]

  def init_state(self) -> step_lib.TrainState:
    """Makes the state before the first step, on the devices of the mesh."""
    return mesh_lib.run_once(self.init, self.mesh, self.shardings)

  @property
  def shardings(self) -> step_lib.TrainState:
    """The sharding of each field of the state."""
    return step_lib.shardings(self.mesh)

  def abstract_state(self) -> step_lib.TrainState:
    """Describes the state, a `jax.ShapeDtypeStruct` for each array of it."""
    return jax.tree.map(
      lambda sharding, part: jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        part,
      ),
      self.shardings,
      jax.eval_shape(self.init),
    )

  def restore_state(
    self, saved: restoring.SavedCheckpoints, step: int
  ) -> restoring.Restored:
    """Restores a checkpoint, onto the devices of the mesh.

    Args:
      saved: The checkpoints of the run.
      step: One of `saved.steps`.

    Raises:
      DataError: If the checkpoint is damaged or of another network.
    """
    return saved.restore(step, self.abstract_state())


def make_training(
  objective: Objective,
  tx: optax.GradientTransformation,
  *,
  frames: int,
  size: int,
  batch_size: int,
  mesh: Mesh,
  seed: int,
  microbatches: int = 1,
) -> Training:
  """Makes the training of an objective.

  Args:
    objective: The network, its views and its loss.
    tx: The optimizer.
    frames: Frames of a view.
    size: Height and width of a view, in pixels.
    batch_size: Videos per step, over all devices. Only a queue depends on it.
    mesh: All devices of the run.
    seed: Seed of the initial weights and of the augmentations.
    microbatches: Number of parts in which the step encodes a batch, see
      `train.microbatches`. They divide the videos of each device.
  """
  shape = (len(objective.views), frames, size, size, 3)

  def init() -> step_lib.TrainState:
    return step_lib.init_state(objective, tx, (batch_size, *shape), seed)

  # Profiles show the update under this name.
  update, in_parts = (
    jax.named_scope("update")(step_lib.make_update(objective, tx, count))
    for count in (1, microbatches)
  )
  train_step = step_lib.make_train_step(in_parts, objective.views, mesh, seed)
  # A program of its own: only logged steps need it, and a branch of the step
  # would hold collectives.
  measure = jax.jit(
    health.measure,
    in_shardings=mesh_lib.batched(mesh),
    out_shardings=mesh_lib.replicated(mesh),
    compiler_options=mesh_lib.compiler_options(mesh),
  )
  layout = step_lib.shardings(mesh)
  skip = jax.jit(
    step_lib.without_update,
    in_shardings=(layout,),
    out_shardings=layout,
    donate_argnums=0,
  )
  return Training(
    objective, mesh, shape, init, update, train_step, skip, measure
  )
