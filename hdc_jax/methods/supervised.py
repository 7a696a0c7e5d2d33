"""The objective of supervised training, for fine-tuning.

HDC's protocol: a backbone with dropout and one linear layer on top classifies
one clip of each video, which is cropped and flipped at random.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hdc_jax.data.clips import sampling
from hdc_jax.methods import augmentations
from hdc_jax.models import heads
from hdc_jax.models.classification import ONE_CLASS, Classification
from hdc_jax.objective import Batch, Objective, Outcome, Variables

# Folded into the key of a step for dropout. The keys of the views have small
# numbers folded in.
_DROPOUT = 1 << 30


def make_objective(
  backbone: nn.Module,
  classes: int,
  dropout: float,
  augment: augmentations.Classification,
  size: int,
  classification: Classification = ONE_CLASS,
) -> Objective:
  """Makes the objective of a classifier on top of a backbone: cross-entropy.

  Args:
    backbone: Module that maps clips to endpoints.
    classes: Number of classes.
    dropout: Fraction of the pooled features that is dropped in training.
    augment: Options of the augmentation of training clips.
    size: Height and width of the views, in pixels.
    classification: The loss, for one class of each clip or for any number.
  """
  network = heads.Classifier(backbone, classes, dropout)

  def loss(
    params: Any, variables: Variables, batch: Batch, key: jax.Array
  ) -> tuple[jax.Array, Outcome]:
    logits, updated = network.apply(
      {"params": params, "batch_stats": variables.batch_stats},
      batch["views"],
      train=True,
      mutable=["batch_stats"],
      rngs={"dropout": jax.random.fold_in(key, _DROPOUT)},
    )
    labels = batch["label"][:, 0]
    losses = classification.loss(logits, labels)
    correct = classification.correct(logits, labels)
    metrics = {"accuracy": jnp.mean(correct)}
    return jnp.mean(losses), Outcome(
      metrics, updated.get("batch_stats", {}), keys={}, pairs={}
    )

  return Objective(
    network,
    (augmentations.classification_view(augment, size),),
    sampling.IndependentStarts(),
    loss,
    f"{classification.title} of {classes} classes",
  )


def make_scores(
  network: nn.Module, classification: Classification = ONE_CLASS
) -> Callable[[Any, jax.Array], dict[str, jax.Array]]:
  """Makes the function that scores clips, for `features.make_encoder`.

  Args:
    network: A classifier, see `heads.Classifier`.
    classification: The function of the scores.

  Returns:
    A traceable function of variables and clips [B, T, S, S, 3] to 'scores', the
    probabilities of C classes, float32 [B, C].
  """

  def scores(variables: Any, clips: jax.Array) -> dict[str, jax.Array]:
    logits: Any = network.apply(variables, clips[:, None])
    return {"scores": classification.scores(logits)}

  return scores
