"""Linear probes on fixed features, for several learning rates at once.

The linear protocol of CVRL (arXiv 2008.03800): L2-normalised features, one
dense layer, momentum SGD with a linear warm-up and a cosine decay to 0. The
probes of all learning rates are stacked and trained together, so that each
batch of features is sent to the device once for all of them.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import vectors
from hdc_jax.evaluate.kinds import LABEL, Kind
from hdc_jax.models.classification import ONE_CLASS, Classification
from hdc_jax.runtime.progress import Progress
from hdc_jax.train import optimizer


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How probes are trained.

  CVRL's recipe has the learning rate 32, 100 epochs of which 5 are warm-up,
  batches of 1024 and no weight decay.

  Attributes:
    rates: R peak learning rates; a probe is trained with each.
    epochs: Number of times that each video is shown.
    warmup_epochs: Number of epochs in which the learning rate rises from 0.
    batch_size: Number of videos per step; a larger one than there are videos
      takes all of them.
    momentum: Momentum of SGD.
    l2: Coefficient λ of the penalty λ/2·Σw² over the kernels; biases have none.
  """

  rates: tuple[float, ...]
  epochs: int
  warmup_epochs: int
  batch_size: int
  momentum: float = 0.9
  l2: float = 0.0

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      ConfigError: If the batch is empty, there is no learning rate, or no epoch
        after the warm-up.
    """
    if self.batch_size < 1:
      raise ConfigError(
        f"config.linear.batch_size={self.batch_size} must be at least 1"
      )
    if not self.rates:
      raise ConfigError("config.linear.rates is empty: name a learning rate")
    if self.warmup_epochs >= self.epochs:
      raise ConfigError(
        f"config.linear.warmup_epochs={self.warmup_epochs} leaves none of "
        f"config.linear.epochs={self.epochs}: use a shorter warm-up"
      )


@flax.struct.dataclass
class Probes:
  """R linear classifiers of D features into C classes, stacked.

  Attributes:
    kernel: float32 [R, D, C].
    bias: float32 [R, C].
  """

  kernel: jax.Array
  bias: jax.Array


@dataclasses.dataclass(frozen=True)
class Sweep:
  """Probes of several learning rates, and which of them to use.

  Attributes:
    probes: The R probes, trained on all videos.
    accuracies: float32 [R], percentage of held-out videos that probes of each
      rate classify correctly after training on the other videos, or their mean
      average precision, see `Kind.measure`; NaN if none were held out.
    best: Index of the rate with the highest accuracy, in [0, R).
  """

  probes: Probes
  accuracies: np.ndarray
  best: int


def _logits(probes: Probes, features: jax.Array) -> jax.Array:
  """Logits float32 [..., R, C] of features float32 [..., D]."""
  products = jnp.einsum(
    "...d,rdc->...rc",
    vectors.normalise(features),
    probes.kernel,
    precision=jax.lax.Precision.HIGHEST,
  )
  return products + probes.bias


def scores(
  probes: Probes,
  features: jax.Array,
  classification: Classification = ONE_CLASS,
) -> jax.Array:
  """Class probabilities by every probe; can be traced by JAX.

  Args:
    probes: R probes over C classes.
    features: float32 [..., D], not yet L2-normalised.
    classification: The function of the scores.

  Returns:
    float32 [..., R, C], which sum to 1 over the classes if a video has one.
  """
  return classification.scores(_logits(probes, features))


def _optimizer(
  recipe: Recipe, steps_per_epoch: int
) -> optax.GradientTransformation:
  """Momentum SGD, as `optimizer.sgd`, at a peak rate of its own for each probe.

  The learning rate is inside of the velocity, v ← m·v - lr·g, so that a change
  of the rate does not rescale past steps.
  """
  schedule = optimizer.warmup_cosine(
    1.0,
    recipe.warmup_epochs * steps_per_epoch,
    recipe.epochs * steps_per_epoch,
  )
  rates = jnp.array(recipe.rates, jnp.float32)

  def scale(updates: Any, _: Any) -> Any:
    return Probes(
      updates.kernel * rates[:, None, None], updates.bias * rates[:, None]
    )

  def is_kernel(params: Any) -> Any:
    return params.replace(kernel=True, bias=False)

  return optax.chain(
    optax.add_decayed_weights(recipe.l2, mask=is_kernel),
    optax.stateless(scale),
    optax.scale_by_learning_rate(schedule),
    optax.trace(recipe.momentum),
  )


# 'features' float32 [B, D] or [B, V, D] of V views; 'labels' int32 [B] or
# [B, C], see `Classification.loss`; and 'weights' float32 [B], 0 for padding.
Batch = dict[str, jax.Array]
# Probes and optimizer state; `Any`, as optax's types of pytrees exclude
# dataclasses.
State = tuple[Any, optax.OptState]


@functools.cache
def _make_step(
  recipe: Recipe,
  classification: Classification,
  steps_per_epoch: int,
  mesh: Mesh,
) -> tuple[optax.GradientTransformation, Callable[[State, Batch], State]]:
  """The optimizer, and the jitted training step of all probes."""
  tx = _optimizer(recipe, steps_per_epoch)

  def loss(probes: Probes, batch: Batch) -> jax.Array:
    logits = _logits(probes, batch["features"])
    losses = classification.loss(logits, batch["labels"][:, None])
    # In the sum over probes, each probe has the gradient of its own loss.
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
    features: float32 [N, V, D], of V views of each video.
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
) -> Probes:
  """Trains a probe for every learning rate of the recipe.

  Each epoch shows each video once, by one of its views. The weights begin at
  zero: the problem is convex, so it needs no random ones.

  Args:
    features: float32 [N, V, D], of V views of each video.
    labels: int [N], class of each video in [0, `classes`); or bool [N,
      `classes`], whether it shows each.
    classes: Number of classes.
    recipe: Learning rates and other options of the optimization.
    mesh: Mesh over which each batch is spread.
    seed: Seed of the order of the videos and of the choice of their views.
    progress_label: Text in front of the progress.
    positions: int [M], indices of the videos to train on; by default all.
    classification: The loss.

  Returns:
    The trained probes, in the order of `recipe.rates`.

  Raises:
    DataError: If a feature is not finite.
  """
  vectors.check_finite("training", features)
  if positions is None:
    positions = np.arange(len(features))
  views, dim = features.shape[1:]
  rates = len(recipe.rates)
  steps_per_epoch = -(-len(positions) // recipe.batch_size)
  tx, step = _make_step(recipe, classification, steps_per_epoch, mesh)
  probes: Any = Probes(
    jnp.zeros((rates, dim, classes)), jnp.zeros((rates, classes))
  )
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
  classification: Classification, mesh: Mesh
) -> Callable[[Probes, Batch], jax.Array]:
  """The jitted means over views of the scores by each probe, [B, R, C]."""

  def means(probes: Probes, batch: Batch) -> jax.Array:
    return scores(probes, batch["features"], classification).mean(axis=1)

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
  """Trains probes on all videos, and chooses the best by held-out videos.

  For the choice, probes are trained on the videos that are not held out; a
  held-out video is classified by the mean of the probabilities of its views. Of
  equally good rates the smallest is chosen. With a single rate no video is held
  out.

  Args:
    features: float32 [N, V, D], of V views of each video.
    labels: The true classes of each video, see `train`.
    classes: Number of classes.
    recipe: Learning rates and other options of the optimization.
    mesh: Mesh over which each batch is spread.
    seed: Seed of the order of the videos and of which are held out.
    held_out: Fraction to hold out; see `Kind.hold_out`.
    kind: Whether a video has one class or any number.

  Returns:
    The probes trained on all videos, and the best rate.

  Raises:
    ConfigError: If there are several rates, but no videos to hold out.
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
  rates = np.array(recipe.rates)
  accuracies, best = np.full(len(rates), np.nan, np.float32), 0
  if len(rates) > 1:
    if not 0 < held_out < 1:
      raise ConfigError(
        f"config.linear.held_out={held_out} cannot choose among {len(rates)} "
        "rates: use a fraction of the videos such as 0.1, or a single rate"
      )
    rest, held = kind.hold_out(labels, held_out, np.random.default_rng(seed))
    if not len(held):
      raise DataError(
        "no class has two videos, one to hold out: name a single rate in "
        "config.linear.rates, or label more videos"
      )
    probes = fit("held-out", rest)
    means = _make_means(kind.classification, mesh)
    batches = _batches(features, labels, (held,), recipe.batch_size, mesh)
    by_batch = [
      mesh_lib.gather((means(probes, batch), batch["weights"]))
      for batch in batches
    ]
    measured = np.concatenate([x[weights > 0] for x, weights in by_batch])
    for r in range(len(rates)):
      accuracies[r] = kind.measure(labels[held], measured[:, r])
    best = int(np.lexsort((rates, -accuracies))[0])
  probes = fit("all videos")
  return Sweep(probes, accuracies, best)
