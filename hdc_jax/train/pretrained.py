"""The backbone of a run, without its heads and optimizer."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
from etils import epath
from jax.sharding import Mesh

from hdc_jax import models
from hdc_jax.config import identity
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.train import checkpoint


@dataclasses.dataclass(frozen=True)
class Pretrained:
  """A backbone and where it is from.

  Attributes:
    run: Directory of the run.
    step: Whose weights these are.
    config: Of the run.
    variables: Of the backbone, replicated; see `TrainState.backbone`.
  """

  run: epath.Path
  step: int
  config: ml_collections.ConfigDict
  variables: dict[str, Any]

  @property
  def name(self) -> str:
    """The checkpoint's path."""
    return f"{self.run}/checkpoints/{self.step}"


def load(
  reference: str,
  mesh: Mesh,
  wanted: ml_collections.ConfigDict | None = None,
) -> Pretrained:
  """Reads a backbone; what else a checkpoint holds is not read.

  Args:
    reference: As in `config.checkpoint`.
    mesh: To replicate the weights over.
    wanted: The config of who wants it, which must have the same architecture.

  Raises:
    ConfigError: If it is of another architecture; names the field.
    DataError: If there is no checkpoint, or if it is damaged.
  """
  run, step = checkpoint.find(reference)
  with checkpoint.Checkpoints(run) as saved:
    config = saved.config(step)
    if wanted is not None:
      identity.check_same(wanted, config, identity.ARCHITECTURE, str(run))
    shapes = jax.eval_shape(functools.partial(_init, config))
    variables = saved.restore_backbone(
      step, mesh_lib.abstract_replicated(shapes, mesh)
    )
  return Pretrained(run, step, config, variables)


def initial(config: ml_collections.ConfigDict, mesh: Mesh) -> dict[str, Any]:
  """The variables of a backbone before any training, replicated."""
  return mesh_lib.run_once(functools.partial(_init, config), mesh)


def _init(config: ml_collections.ConfigDict) -> dict[str, Any]:
  # No weight's shape depends on that of the clip.
  clip = jnp.zeros((1, 16, 64, 64, 3))
  backbone = models.make_backbone(config.model)
  variables = backbone.init(jax.random.key(config.seed), clip)
  return {"batch_stats": {}} | variables
