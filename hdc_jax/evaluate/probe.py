"""Linear probes on fixed features, of all learning rates at once.

The linear protocol of CVRL (arXiv 2008.03800): L2-normalised features, one
dense layer, momentum SGD with a linear warm-up and a cosine to 0. The probes of
all rates are stacked, so that the features pass the device once for all.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from hdc_jax.data.labels import subsets
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import vectors
from hdc_jax.runtime.progress import Progress
from hdc_jax.train import optimizer


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How probes are trained.

  CVRL's has rate 32, 100 epochs, 5 of them warm-up, batches of 1024 and no
  weight decay.

  Attributes:
    rates: R peak learning rates; each gives a probe.
    epochs: How often each video is shown.
    warmup_epochs: In which the rate rises from 0.
    batch_size: Videos per step; at most all there are.
    momentum: Of SGD.
    l2: λ of λ/2·Σw² over kernels.
  """

  rates: tuple[float, ...]
  epochs: int
  warmup_epochs: int
  batch_size: int
  momentum: float = 0.9
  l2: float = 0.0

  def __post_init__(self) -> None:
    """Checks that there is a rate, and an epoch after the warm-up."""
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
  """Stacked linear classifiers.

  Attributes:
    kernel: float32 [R, D, C].
    bias: float32 [R, C].
  """

  kernel: jax.Array
  bias: jax.Array


@dataclasses.dataclass(frozen=True)
class Sweep:
  """Probes of several rates, and which to use.

  Attributes:
    probes: Trained on all videos, one per rate.
    accuracies: float32 [R], per cent of the held-out videos right, by probes
      trained on the rest; NaN if none were held out.
    best: The rate's position with the highest accuracy.
  """

  probes: Probes
  accuracies: np.ndarray
  best: int


def _logits(probes: Probes, features: jax.Array) -> jax.Array:
  products = jnp.einsum(
    "...d,rdc->...rc",
    vectors.normalise(features),
    probes.kernel,
    precision=jax.lax.Precision.HIGHEST,
  )
  return products + probes.bias


def scores(probes: Probes, features: jax.Array) -> jax.Array:
  """Class probabilities by every probe; traceable.

  Args:
    probes: R of them, over C classes.
    features: float32 [..., D], of any length.

  Returns:
    float32 [..., R, C].
  """
  return jax.nn.softmax(_logits(probes, features))


def _optimizer(
  recipe: Recipe, steps_per_epoch: int
) -> optax.GradientTransformation:
  """SGD at a rate that peaks at 1, times each probe's own rate."""
  schedule = optimizer.warmup_cosine(
    1.0,
    recipe.warmup_epochs * steps_per_epoch,
    recipe.epochs * steps_per_epoch,
  )
  rates = jnp.array(recipe.rates, jnp.float32)

  def scale(updates: Probes, _: Probes) -> Probes:
    return Probes(
      updates.kernel * rates[:, None, None], updates.bias * rates[:, None]
    )

  return optax.chain(
    optax.add_decayed_weights(recipe.l2, mask=Probes(kernel=True, bias=False)),
    optax.sgd(schedule, momentum=recipe.momentum),
    optax.stateless(scale),
  )


Batch = dict[str, jax.Array]
State = tuple[Probes, optax.OptState]


@functools.cache
def _make_step(
  recipe: Recipe, steps_per_epoch: int, mesh: Mesh
) -> tuple[optax.GradientTransformation, Callable[[State, Batch], State]]:
  tx = _optimizer(recipe, steps_per_epoch)

  def loss(probes: Probes, batch: Batch) -> jax.Array:
    logits = _logits(probes, batch["features"])
    losses = optax.softmax_cross_entropy_with_integer_labels(
      logits, batch["labels"][:, None]
    )
    # The sum over probes gives each its own gradient.
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
  """Places the chosen rows on the mesh, batch by batch.

  Args:
    features: float32 [N, V, D].
    labels: int [N].
    rows: int [M] each: the videos, and their views unless all are wanted.
    batch_size: Clipped to M.
    mesh: Each batch is filled up to a multiple of its devices by rows of weight
      0, so that the devices decide nothing about the result. So is the last
      batch, to the size of the others.

  Yields:
    'features' float32 [B, D] or [B, V, D], 'labels' int32 [B] and 'weights'
    float32 [B].
  """
  count, devices = len(rows[0]), mesh.devices.size
  batch_size = min(batch_size, count)
  padded = -(-batch_size // devices) * devices
  for first in range(0, count, batch_size):
    chosen = np.arange(first, min(first + batch_size, count))
    weights = np.zeros(padded, np.float32)
    weights[: len(chosen)] = 1.0
    chosen = np.resize(chosen, padded)
    taken = tuple(index[chosen] for index in rows)
    yield mesh_lib.whole_to_devices(
      mesh,
      {
        "features": features[taken],
        "labels": labels[taken[0]].astype(np.int32),
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
) -> Probes:
  """Trains a probe for every rate of the recipe.

  In each epoch each video is shown once, by one of its views. The weights begin
  at zero: the problem is convex, so no random ones are needed.

  Args:
    features: float32 [N, V, D], of V views of each video.
    labels: int [N], the class of each video.
    classes: How many there are.
    recipe: Of the optimization.
    mesh: Each batch is spread over it.
    seed: It and the epoch decide the order of the videos and their views.
    progress_label: Shown in front of the progress.
    positions: int [M], the videos to train on; by default all.

  Raises:
    DataError: If a feature is not finite.
  """
  vectors.check_finite("training", features)
  if positions is None:
    positions = np.arange(len(features))
  views, dim = features.shape[1:]
  rates = len(recipe.rates)
  steps_per_epoch = -(-len(positions) // recipe.batch_size)
  tx, step = _make_step(recipe, steps_per_epoch, mesh)
  probes = Probes(jnp.zeros((rates, dim, classes)), jnp.zeros((rates, classes)))
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
def _make_hits(mesh: Mesh) -> Callable[[Probes, Batch], jax.Array]:
  """The jitted count of videos that each probe gets right, [R]."""

  def hits(probes: Probes, batch: Batch) -> jax.Array:
    mean = scores(probes, batch["features"]).mean(axis=1)
    right = jnp.argmax(mean, axis=-1) == batch["labels"][:, None]
    return batch["weights"] @ right

  return mesh_lib.jit(hits, mesh)


def sweep(
  features: np.ndarray,
  labels: np.ndarray,
  classes: int,
  recipe: Recipe,
  mesh: Mesh,
  seed: int,
  held_out: float,
) -> Sweep:
  """Trains probes on all videos, and chooses among them by held-out ones.

  Held-out videos are scored by the mean probabilities of their views, with
  probes that were trained on the rest. Of equally good rates the smallest is
  chosen. With a single rate nothing is held out.

  Args:
    features: float32 [N, V, D], of V views of each video.
    labels: int [N], the class of each video.
    classes: How many there are.
    recipe: Of the optimization.
    mesh: Each batch is spread over it.
    seed: Of the order and of what is held out.
    held_out: Fraction of each class to hold out; see `subsets.held_out`.

  Raises:
    ConfigError: If nothing is held out to choose among several rates.
    DataError: If a feature is not finite, or no class has two videos.
  """
  rates = np.array(recipe.rates)
  accuracies, best = np.full(len(rates), np.nan, np.float32), 0
  if len(rates) > 1:
    if not 0 < held_out < 1:
      raise ConfigError(
        f"config.linear.held_out={held_out} cannot choose among {len(rates)} "
        "rates: use a fraction of the videos such as 0.1, or a single rate"
      )
    rest, held = subsets.held_out(labels, held_out, np.random.default_rng(seed))
    if not len(held):
      raise DataError(
        "no class has two videos, one to hold out: name a single rate in "
        "config.linear.rates, or label more videos"
      )
    probes = train(
      features, labels, classes, recipe, mesh, seed, "held-out", rest
    )
    count = _make_hits(mesh)
    batches = _batches(features, labels, (held,), recipe.batch_size, mesh)
    hits = sum(jax.device_get(count(probes, batch)) for batch in batches)
    accuracies = (100.0 * hits / len(held)).astype(np.float32)
    best = int(np.lexsort((rates, -accuracies))[0])
  probes = train(features, labels, classes, recipe, mesh, seed, "all videos")
  return Sweep(probes, accuracies, best)
