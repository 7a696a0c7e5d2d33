"""What the tasks that evaluate begin with."""

import dataclasses
from typing import Any

import ml_collections
from jax.sharding import Mesh

from hdc_jax.config import identity
from hdc_jax.data import sources
from hdc_jax.data.clips.test_clips import FixedLooks, fixed_looks
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import require
from hdc_jax.train import pretrained


@dataclasses.dataclass(frozen=True)
class Setup:
  """Where and on what to evaluate.

  Attributes:
    mesh: Over all devices.
    source: Of the videos.
    looks: How to look at test videos.
    loaded: The backbone; None where it is to be trained from scratch.
    stamp: What tells the result from that of another config, checkpoint or
      dataset.
  """

  mesh: Mesh
  source: sources.Source
  looks: FixedLooks
  loaded: pretrained.Pretrained | None
  stamp: dict[str, Any]


def set_up(
  config: ml_collections.ConfigDict, task: str, *, from_scratch: bool = False
) -> Setup:
  """Opens the dataset and reads the checkpoint.

  Args:
    config: Resolved; see `config.default`.
    task: Its name.
    from_scratch: Whether there may be no checkpoint.

  Raises:
    ConfigError, DataError: If config, data or checkpoint are wrong.
  """
  require("config.data.path", config.data.path, "name a prepared dataset")
  require(
    "config.checkpoint",
    config.checkpoint or from_scratch,
    "name the directory of a run",
  )
  mesh = mesh_lib.make_mesh()
  mesh_lib.check_batch_size(
    "config.test.batch_size", config.test.batch_size, mesh
  )
  source = sources.open(config.data.path, config.data.canvas, config.data.cache)
  looks = fixed_looks(config, source)
  loaded = None
  if config.checkpoint:
    loaded = pretrained.load(config.checkpoint, mesh, config)
  stamp = {
    "task": task,
    "checkpoint": loaded.name if loaded else "",
    "config_fingerprint": identity.fingerprint(config),
    "data_fingerprint": source.index.fingerprint,
  }
  return Setup(mesh, source, looks, loaded, stamp)
