"""Classifiers on fixed features, for several settings of training at once.

The classifiers of all settings are stacked and trained together, so that each
batch of features is sent to the device once for all of them. Held-out training
videos choose among them. `probe` has linear classifiers, and `attentive` those
that begin with attention.
"""

import abc
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import vectors
from hdc_jax.evaluate.kinds import LABEL, Kind
from hdc_jax.models.classification import ONE_CLASS, Classification
from hdc_jax.runtime.progress import Progress


@dataclasses.dataclass(frozen=True)
class Recipe(abc.ABC):
  """What R classifiers compute, and how they are trained.

  Attributes:
    section: Section of the config that has the fields, for messages.
    names: Names of what differs between the classifiers, see `settings`.
    rates: Peak learning rates; a classifier is trained with each.
    epochs: Number of times that each video is shown.
    warmup_epochs: Number of epochs in which the learning rate rises from 0.
    batch_size: Number of videos per step; a larger one than there are videos
      takes all of them.
  """

  section: ClassVar[str]
  names: ClassVar[tuple[str, ...]] = ("rate",)

  rates: tuple[float, ...]
  epochs: int
  warmup_epochs: int
  batch_size: int

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      ConfigError: If the batch is empty, there is no learning rate, or no epoch
        after the warm-up.
    """
    section = f"config.{self.section}"
    if self.batch_size < 1:
      raise ConfigError(
        f"{section}.batch_size={self.batch_size} must be at least 1"
      )
    if not self.rates:
      raise ConfigError(f"{section}.rates is empty: name a learning rate")
    if self.warmup_epochs >= self.epochs:
      raise ConfigError(
        f"{section}.warmup_epochs={self.warmup_epochs} leaves none of "
        f"{section}.epochs={self.epochs}: use a shorter warm-up"
      )

  @property
  def settings(self) -> list[tuple[float, ...]]:
    """The values of `names` for each of the R classifiers."""
    return [(rate,) for rate in self.rates]

  @abc.abstractmethod
  def init(self, shape: tuple[int, ...], classes: int, seed: int) -> Any:
    """The weights of R classifiers before training, [R, ...] each.

    Args:
      shape: Shape of the features of one view of a video.
      classes: Number C of classes.
      seed: Seed of random weights.
    """

  @abc.abstractmethod
  def logits(self, probes: Any, features: jax.Array) -> jax.Array:
    """Logits float32 [..., R, C]; can be traced by JAX.

    Args:
      probes: The weights of R classifiers.
      features: Features of views of videos, [..., *shape].
    """

  @abc.abstractmethod
  def optimizer(self, steps_per_epoch: int) -> optax.GradientTransformation:
    """Makes the optimizer of all classifiers, each with its own settings.

    Args:
      steps_per_epoch: Number of steps of an epoch.
    """

  def scores(
    self,
    probes: Any,
    features: jax.Array,
    classification: Classification = ONE_CLASS,
  ) -> jax.Array:
    """Class probabilities by every classifier; can be traced by JAX.

    Args:
      probes: The weights of R classifiers.
      features: Features of views of videos, [..., *shape].
      classification: The function of the scores.

    Returns:
      float32 [..., R, C], which sum to 1 over the classes if a video has one.
    """
    return classification.scores(self.logits(probes, features))


@dataclasses.dataclass(frozen=True)
class Sweep:
  """Classifiers of several settings, and which of them to use.

  Attributes:
    probes: The weights of the R classifiers, trained on all videos.
    accuracies: float32 [R], percentage of held-out videos that the classifier
      of each setting classifies correctly after training on the other videos,
      or their mean average precision, see `Kind.measure`; NaN if none were held
      out.
    best: Index of the setting with the highest accuracy, in [0, R).
  """

  probes: Any
  accuracies: np.ndarray
  best: int


# 'features' [B, ...] or [B, V, ...] of V views; 'labels' int32 [B] or
# [B, C], see `Classification.loss`; and 'weights' float32 [B], 0 for padding.
Batch = dict[str, jax.Array]
# Weights and optimizer state; `Any`, as optax's types of pytrees exclude
# dataclasses.
State = tuple[Any, optax.OptState]


@functools.cache
def _make_step(
  recipe: Recipe,
  classification: Classification,
  steps_per_epoch: int,
  mesh: Mesh,
) -> tuple[optax.GradientTransformation, Callable[[State, Batch], State]]:
  """The optimizer, and the jitted training step of all classifiers."""
  tx = recipe.optimizer(steps_per_epoch)

  def loss(probes: Any, batch: Batch) -> jax.Array:
    logits = recipe.logits(probes, batch["features"])
    losses = classification.loss(logits, batch["labels"][:, None])
    # In the sum over classifiers, each has the gradient of its own loss.
    return batch["weights"] @ losses.sum(axis=1) / batch["weights"].sum()

  def step(state: State, batch: Batch) -> State:
    probes, opt_state = state
    grads = jax.grad(loss)(probes, batch)
    updates, opt_state = tx.update(grads, opt_state, probes)
    return optax.apply_updates(probes, updates), opt_state

  return tx, mesh_lib.jit(step, mesh, donate=True)


def _batches(
  features: np.ndarray,
  labels: np.ndarray,
  rows: tuple[np.ndarray, ...],
  batch_size: int,
  mesh: Mesh,
) -> Iterator[Batch]:
  """Places chosen videos on the mesh, batch by batch.

  Args:
    features: Features [N, V, ...] of V views of each video.
    labels: The true classes of each video, [N] or [N, C].
    rows: int [M], indices of the videos; and, to take one view of each, int [M]
      with the indices of these views.
    batch_size: Number of videos per batch, at most M.
    mesh: Mesh over which each batch is spread. Each batch is padded to a
      multiple of its devices, and the last one to the size of the others, by
      videos of weight 0, so that the number of devices does not change the
      result.

  Yields:
    Batches, see `Batch`; 'features' have the views unless `rows` choose one.
  """
  count, devices = len(rows[0]), mesh.devices.size
  batch_size = min(batch_size, count)
  padded = -(-batch_size // devices) * devices
  for first in range(0, count, batch_size):
    chosen = np.arange(first, min(first + batch_size, count))
    weights = np.zeros(padded, np.float32)
    weights[: len(chosen)] = 1.0
    chosen = np.resize(chosen, padded)
    indices = tuple(index[chosen] for index in rows)
    yield mesh_lib.whole_to_devices(
      mesh,
      {
        "features": features[indices],
        "labels": labels[indices[0]].astype(np.int32),
        "weights": weights,
      },
    )


def train(
  features: np.ndarray,
  labels: np.ndarray,
  classes: int,
  recipe: Recipe,
  mesh: Mesh,
  seed: int,
  progress_label: str = "",
  positions: np.ndarray | None = None,
  classification: Classification = ONE_CLASS,
) -> Any:
  """Trains a classifier with every setting of the recipe.

  Each epoch shows each video once, by one of its views.

  Args:
    features: Features [N, V, ...] of V views of each video.
    labels: int [N], class of each video in [0, `classes`); or bool [N,
      `classes`], whether it shows each.
    classes: Number of classes.
    recipe: The classifiers and their training.
    mesh: Mesh over which each batch is spread.
    seed: Seed of the weights, of the order of the videos and of the choice of
      their views.
    progress_label: Text in front of the progress.
    positions: int [M], indices of the videos to train on; by default all.
    classification: The loss.

  Returns:
    The trained weights, in the order of `recipe.settings`.

  Raises:
    DataError: If a feature is not finite.
  """
  vectors.check_finite("training", features)
  if positions is None:
    positions = np.arange(len(features))
  views, *shape = features.shape[1:]
  steps_per_epoch = -(-len(positions) // recipe.batch_size)
  tx, step = _make_step(recipe, classification, steps_per_epoch, mesh)
  probes = recipe.init(tuple(shape), classes, seed)
  state = jax.device_put((probes, tx.init(probes)), mesh_lib.replicated(mesh))
  with Progress(recipe.epochs, "epochs", progress_label) as progress:
    for epoch in range(recipe.epochs):
      rng = np.random.default_rng((seed, epoch))
      order = rng.permutation(positions)
      rows = order, rng.integers(views, size=len(order))
      for batch in _batches(features, labels, rows, recipe.batch_size, mesh):
        state = step(state, batch)
      jax.block_until_ready(state)
      progress.update()
  return state[0]


@functools.cache
def _make_means(
  recipe: Recipe, classification: Classification, mesh: Mesh
) -> Callable[[Any, Batch], jax.Array]:
  """The jitted means over views of the scores by each setting, [B, R, C]."""

  def means(probes: Any, batch: Batch) -> jax.Array:
    scores = recipe.scores(probes, batch["features"], classification)
    return scores.mean(axis=1)

  return mesh_lib.jit(means, mesh)


def sweep(
  features: np.ndarray,
  labels: np.ndarray,
  classes: int,
  recipe: Recipe,
  mesh: Mesh,
  seed: int,
  held_out: float,
  kind: Kind = LABEL,
) -> Sweep:
  """Trains classifiers on all videos, and chooses one by held-out videos.

  For the choice, classifiers are trained on the videos that are not held out; a
  held-out video is classified by the mean of the probabilities of its views. Of
  equally good settings the smallest is chosen. With a single one no video is
  held out.

  Args:
    features: Features [N, V, ...] of V views of each video.
    labels: The true classes of each video, see `train`.
    classes: Number of classes.
    recipe: The classifiers and their training.
    mesh: Mesh over which each batch is spread.
    seed: Seed of the weights, of the order of the videos and of which are held
      out.
    held_out: Fraction to hold out; see `Kind.hold_out`.
    kind: Whether a video has one class or any number.

  Returns:
    The classifiers trained on all videos, and the best setting.

  Raises:
    ConfigError: If there are several settings, but no videos to hold out.
    DataError: If a feature is not finite, or no class has two videos.
  """
  fit = functools.partial(
    train,
    features,
    labels,
    classes,
    recipe,
    mesh,
    seed,
    classification=kind.classification,
  )
  settings, section = recipe.settings, f"config.{recipe.section}"
  accuracies, best = np.full(len(settings), np.nan, np.float32), 0
  if len(settings) > 1:
    if not 0 < held_out < 1:
      raise ConfigError(cannot_choose(section, held_out, len(settings)))
    rest, held = kind.hold_out(labels, held_out, np.random.default_rng(seed))
    if not len(held):
      raise DataError(
        "no class has two videos, one to hold out: name a single rate in "
        f"{section}.rates, or label more videos"
      )
    probes = fit("held-out", rest)
    means = _make_means(recipe, kind.classification, mesh)
    batches = _batches(features, labels, (held,), recipe.batch_size, mesh)
    by_batch = [
      mesh_lib.gather((means(probes, batch), batch["weights"]))
      for batch in batches
    ]
    measured = np.concatenate([x[weights > 0] for x, weights in by_batch])
    for r in range(len(settings)):
      accuracies[r] = kind.measure(labels[held], measured[:, r])
    order = sorted(
      range(len(settings)), key=lambda r: (-accuracies[r], settings[r])
    )
    best = order[0]
  probes = fit("all videos")
  return Sweep(probes, accuracies, best)


def cannot_choose(section: str, held_out: float, count: int) -> str:
  """The message where no videos are held out to choose among settings.

  Args:
    section: Full name of the section of the config.
    held_out: Fraction of the videos that is held out.
    count: Number of settings.
  """
  return (
    f"{section}.held_out={held_out} cannot choose among {count} settings: use "
    "a fraction of the videos such as 0.1, or a single rate"
  )
