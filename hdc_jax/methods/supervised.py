"""The objective of supervised training, for fine-tuning.

HDC's protocol: a backbone with dropout and one linear layer on top classifies
one clip of each video, with scale jitter and flip.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from hdc_jax.data.clips import sampling
from hdc_jax.methods import augmentations
from hdc_jax.models import heads
from hdc_jax.objective import Batch, Objective, Outcome, Variables

# Folded into the key of a step for dropout. The keys of the views have small
# numbers folded in.
_DROPOUT = 1 << 30


def make_objective(
  backbone: nn.Module,
  classes: int,
  dropout: float,
  augment: augmentations.Scales,
  size: int,
) -> Objective:
  """Makes the objective of a classifier on top of a backbone: cross-entropy.

  Args:
    backbone: Module that maps clips to endpoints.
    classes: Number of classes.
    dropout: Fraction of the pooled features that is dropped in training.
    augment: Options of the augmentation of training clips.
    size: Height and width of the views, in pixels.
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
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    correct = jnp.argmax(logits, axis=1) == labels
    metrics = {"accuracy": jnp.mean(correct)}
    return jnp.mean(losses), Outcome(
      metrics, updated.get("batch_stats", {}), {}
    )

  return Objective(
    network,
    (augmentations.classification_view(augment, size),),
    sampling.IndependentStarts(),
    loss,
    f"cross-entropy of {classes} classes",
  )


def make_scores(
  network: nn.Module,
) -> Callable[[Any, jax.Array], dict[str, jax.Array]]:
  """Makes the function that scores clips, for `features.make_encoder`.

  Args:
    network: A classifier, see `heads.Classifier`.

  Returns:
    A traceable function of variables and clips [B, T, S, S, 3] to 'scores', the
    probabilities of C classes, float32 [B, C].
  """

  def scores(variables: Any, clips: jax.Array) -> dict[str, jax.Array]:
    logits: Any = network.apply(variables, clips[:, None])
    return {"scores": jax.nn.softmax(logits)}

  return scores
