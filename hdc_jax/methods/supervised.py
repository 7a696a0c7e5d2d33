"""Supervised training of a backbone: the trainer of task `finetune`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
from jax.sharding import Mesh

from hdc_jax import models
from hdc_jax.augment import geometry, views
from hdc_jax.data.clips import sampling
from hdc_jax.models import heads
from hdc_jax.train import step as step_lib
from hdc_jax.train import training


def training_view(
  config: ml_collections.ConfigDict, name: str = "clip", clip: int = 0
) -> views.View:
  """A view to learn classes from: scale jitter and flip (HDC, Section 4)."""
  return views.View(
    name,
    clip,
    geometry.ScaleJitterCrop(config.model.size, config.augment.scales),
    (geometry.RandomFlip(config.augment.flip),),
  )


def make_network(
  config: ml_collections.ConfigDict, classes: int
) -> heads.Classifier:
  """The backbone that `config.model` describes with a classifier on top."""
  backbone = models.make_backbone(config.model)
  return heads.Classifier(backbone, classes, config.finetune.dropout)


def make_scores(
  network: heads.Classifier,
) -> Callable[[Any, jax.Array], dict[str, jax.Array]]:
  """From variables and clips [B, T, S, S, 3] to 'scores', float32 [B, C]."""

  def scores(variables: Any, clips: jax.Array) -> dict[str, jax.Array]:
    logits = network.apply(variables, clips[:, None])
    return {"scores": jax.nn.softmax(logits)}

  return scores


def make_trainer(
  config: ml_collections.ConfigDict, mesh: Mesh, classes: int
) -> training.Trainer:
  """Builds the supervised training that `config` describes.

  Args:
    config: Of the run.
    mesh: Over all devices.
    classes: How many there are.

  Raises:
    ConfigError: If a name is unknown or a field does not fit another.
  """
  network = make_network(config, classes)

  def loss_fn(
    params: Any, state: step_lib.TrainState, batch: step_lib.Batch
  ) -> tuple[jax.Array, tuple[step_lib.Metrics, Any]]:
    # Apart from those of the views, which are folded with small numbers.
    key = jax.random.fold_in(jax.random.key(config.seed), state.step)
    key = jax.random.fold_in(key, 1 << 30)
    logits, updated = network.apply(
      {"params": params, "batch_stats": state.batch_stats},
      batch["views"],
      train=True,
      mutable=["batch_stats"],
      rngs={"dropout": key},
    )
    labels = batch["label"][:, 0]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    right = jnp.argmax(logits, axis=1) == labels
    metrics = {"accuracy": jnp.mean(right)}
    return jnp.mean(losses), (metrics, updated.get("batch_stats", {}))

  return training.assemble(
    config,
    mesh,
    network,
    (training_view(config),),
    sampling.IndependentStarts(),
    loss_fn,
    f"cross-entropy of {classes} classes",
  )
