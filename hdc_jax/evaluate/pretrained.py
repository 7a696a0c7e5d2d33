"""The backbone of a run, loaded without its heads and optimizer."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from etils import epath
from jax.sharding import Mesh

from hdc_jax.checkpoints import finding, restoring
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError, choose
from hdc_jax.models import BACKBONES, BackboneOptions
from hdc_jax.options import identity


@dataclasses.dataclass(frozen=True)
class Pretrained:
  """The backbone of a checkpoint.

  Attributes:
    run: Directory of the run.
    step: Step of the checkpoint.
    config: The config of the run, by section.
    backbone: Options of the backbone.
    variables: The backbone's variables, replicated over devices; see
      `TrainState.backbone`.
  """

  run: epath.Path
  step: int
  config: dict[str, Any]
  backbone: BackboneOptions
  variables: dict[str, Any]

  @property
  def name(self) -> str:
    """Path of the checkpoint."""
    return f"{self.run}/checkpoints/{self.step}"


def load(
  reference: str, mesh: Mesh, wanted: BackboneOptions | None = None
) -> Pretrained:
  """Loads the backbone of a checkpoint, whose files are verified first.

  Choice: If a run is named whose newest checkpoint is damaged, the next older
  one is used, which is said. A checkpoint that is named itself is not replaced.

  Args:
    reference: A run directory, or one step in it, as in `config.checkpoint`.
    mesh: The devices over which the weights are replicated.
    wanted: Options of the backbone that is to have the weights; None for those
      of the run.

  Raises:
    ConfigError: If the architecture is another one; names the field.
    DataError: If there is no checkpoint, or if it is damaged.
    StorageError: If the storage fails.
  """
  run, step = finding.find(reference)
  with restoring.SavedCheckpoints(run) as saved:
    if not finding.names_one(reference):
      step = saved.newest_whole() or 0
    config = saved.config(step)
    backbone = read_backbone(config)
    if wanted is not None:
      check_architecture(wanted, backbone, str(run))
    shapes = jax.eval_shape(functools.partial(_init, backbone, 0))
    variables = saved.restore_backbone(
      step, mesh_lib.abstract_replicated(shapes, mesh)
    )
  return Pretrained(run, step, config, backbone, variables)


def check(reference: str, wanted: BackboneOptions) -> None:
  """Checks that a checkpoint exists and its backbone fits; reads no weights.

  Args:
    reference: A run directory, or one step in it, as in `config.checkpoint`.
    wanted: Options of the backbone that is to have the weights.

  Raises:
    ConfigError: If the architecture is another one; names the field.
    DataError: If there is no checkpoint, or if it is damaged.
  """
  run, step = finding.find(reference)
  with restoring.SavedCheckpoints(run) as saved:
    check_architecture(wanted, read_backbone(saved.config(step)), str(run))


def read_backbone(config: dict[str, Any]) -> BackboneOptions:
  """The options of the backbone in the config of a run, given by section."""
  model = config["model"]
  return choose("model.name", model["name"], BACKBONES).from_values(model)


def check_architecture(
  wanted: BackboneOptions, backbone: BackboneOptions, run: str
) -> None:
  """Checks that the weights of a run fit a backbone.

  Args:
    wanted: Options of the backbone that is to have the weights.
    backbone: Options of the run's backbone.
    run: Directory of the run, for the message.

  Raises:
    ConfigError: Naming the first field that differs.
  """
  now, then = wanted.architecture(), backbone.architecture()
  for field in (*now, *then):
    if now.get(field) != then.get(field):
      raise ConfigError(
        identity.differs(
          f"config.model.{field}", now.get(field), then.get(field), run
        )
      )


def initial(backbone: BackboneOptions, seed: int, mesh: Mesh) -> dict[str, Any]:
  """Makes the initial variables of a backbone, replicated over devices.

  Args:
    backbone: Options of the backbone.
    seed: Seed of the initial weights.
    mesh: The devices over which the weights are replicated.
  """
  return mesh_lib.run_once(functools.partial(_init, backbone, seed), mesh)


def _init(backbone: BackboneOptions, seed: int) -> dict[str, Any]:
  # The shapes of the weights do not depend on that of the clip.
  clip = jnp.zeros((1, 16, 64, 64, 3))
  variables = backbone.make().init(jax.random.key(seed), clip)
  return {"batch_stats": {}} | dict(variables)
