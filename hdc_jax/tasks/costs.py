"""What runs of the tasks cost, reckoned from their configs, without any data.

FLOPs are those of the network, its gradients and the update, see
`train.cost.count_flops`; augmentation is left out. Evaluations are reckoned
with the official numbers of videos of a dataset, as if each were 300 frames
long.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import ml_collections

from hdc_jax import models
from hdc_jax.data.clips.test_clips import FixedLooks
from hdc_jax.distributed import mesh
from hdc_jax.methods import supervised
from hdc_jax.train import flops as flops_lib
from hdc_jax.train import training

# What a dataset has, by split, and its 'classes'.
Counts = Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Cost:
  """What it takes.

  Attributes:
    steps: Of training.
    clips: That the network sees, in training and in tests.
    flops: Of the network on them.
  """

  steps: int = 0
  clips: int = 0
  flops: float = 0.0

  def __add__(self, other: "Cost") -> "Cost":
    return Cost(
      self.steps + other.steps,
      self.clips + other.clips,
      self.flops + other.flops,
    )


def pretraining(config: ml_collections.ConfigDict, counts: Counts) -> Cost:
  """Of task `pretrain`, whose length does not depend on the dataset's."""
  del counts
  made = training.make_trainer(config, mesh.make_mesh(devices=1))
  return _training(config, made, 1)


def finetuning(config: ml_collections.ConfigDict, counts: Counts) -> Cost:
  """Of task `finetune`: training and test on each division."""
  folds = _folds(config)
  made = supervised.make_trainer(
    config, mesh.make_mesh(devices=1), counts["classes"]
  )
  state = jax.eval_shape(made.init)
  variables = {"params": state.params, "batch_stats": state.batch_stats}
  flops = flops_lib.count_flops(
    made.network.apply, variables, _clip(config, (1, 1))
  )
  clips = _looks(config) * sum(counts[f"test{fold}"] for fold in folds)
  test = Cost(clips=clips, flops=clips * flops)
  return _training(config, made, len(folds)) + test


def retrieval(config: ml_collections.ConfigDict, counts: Counts) -> Cost:
  """Of task `retrieve`: the features of all videos."""
  backbone = models.make_backbone(config.model)
  clip = _clip(config, (1,))
  variables = jax.eval_shape(backbone.init, jax.random.key(0), clip)
  videos = sum(
    counts[f"{split}{fold}"]
    for fold in _folds(config)
    for split in ("train", "test")
  )
  networks = 1 + config.retrieve.untrained
  clips = _looks(config) * videos * networks
  flops = flops_lib.count_flops(backbone.apply, variables, clip)
  return Cost(clips=clips, flops=clips * flops)


def _training(
  config: ml_collections.ConfigDict, made: training.Trainer, times: int
) -> Cost:
  batch_size, steps = config.data.batch_size, times * config.train.steps
  batch = {
    "views": jax.ShapeDtypeStruct((batch_size, *made.views_shape), jnp.float32),
    "label": jax.ShapeDtypeStruct((batch_size, 1), jnp.int32),
  }
  flops = flops_lib.count_flops(made.update, jax.eval_shape(made.init), batch)
  clips = batch_size * len(made.views)
  return Cost(steps, steps * clips, steps * flops)


def _folds(config: ml_collections.ConfigDict) -> tuple[int, ...]:
  return tuple(config.data.folds) or (1, 2, 3)


def _looks(config: ml_collections.ConfigDict) -> int:
  """Crops of clips of a video."""
  data, test = config.data, config.test
  size = test.size or config.model.size
  return FixedLooks(
    data.frames, data.stride, size, test.clips, test.crops
  ).estimate


def _clip(
  config: ml_collections.ConfigDict, axes: tuple[int, ...]
) -> jax.ShapeDtypeStruct:
  """One crop of a clip, with leading axes."""
  size = config.test.size or config.model.size
  shape = (*axes, config.data.frames, size, size, 3)
  return jax.ShapeDtypeStruct(shape, jnp.float32)
