"""Linear probes on fixed features, for several learning rates at once.

The linear protocol of CVRL (arXiv 2008.03800): L2-normalised features, one
dense layer, momentum SGD with a linear warm-up and a cosine decay to 0.
"""

import dataclasses
from typing import Any, ClassVar

import flax.struct
import jax
import jax.numpy as jnp
import optax

from hdc_jax.evaluate import sweeps, vectors
from hdc_jax.train import optimizer


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
class Recipe(sweeps.Recipe):
  """How linear probes are trained.

  CVRL's recipe has the learning rate 32, 100 epochs of which 5 are warm-up,
  batches of 1024 and no weight decay.

  Attributes:
    momentum: Momentum of SGD.
    l2: Coefficient λ of the penalty λ/2·Σw² over the kernels; biases have none.
  """

  section: ClassVar[str] = "linear"

  momentum: float = 0.9
  l2: float = 0.0

  def init(self, shape: tuple[int, ...], classes: int, seed: int) -> Probes:
    """Zeros: the problem is convex, so it needs no random weights."""
    (dim,), rates = shape, len(self.rates)
    return Probes(jnp.zeros((rates, dim, classes)), jnp.zeros((rates, classes)))

  def logits(self, probes: Probes, features: jax.Array) -> jax.Array:
    """Logits float32 [..., R, C] of features [..., D], not yet normalised."""
    products = jnp.einsum(
      "...d,rdc->...rc",
      vectors.normalise(features),
      probes.kernel,
      precision=jax.lax.Precision.HIGHEST,
    )
    return products + probes.bias

  def optimizer(self, steps_per_epoch: int) -> optax.GradientTransformation:
    """Momentum SGD, as `optimizer.sgd`, at a peak rate for each probe.

    The learning rate is inside of the velocity, v ← m·v - lr·g, so that a
    change of the rate does not rescale past steps.
    """
    schedule = optimizer.warmup_cosine(
      1.0,
      self.warmup_epochs * steps_per_epoch,
      self.epochs * steps_per_epoch,
    )
    rates = jnp.array(self.rates, jnp.float32)

    def scale(updates: Any, _: Any) -> Any:
      return Probes(
        updates.kernel * rates[:, None, None], updates.bias * rates[:, None]
      )

    def is_kernel(params: Any) -> Any:
      return params.replace(kernel=True, bias=False)

    return optax.chain(
      optax.add_decayed_weights(self.l2, mask=is_kernel),
      optax.stateless(scale),
      optax.scale_by_learning_rate(schedule),
      optax.trace(self.momentum),
    )
