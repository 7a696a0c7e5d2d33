"""Attentive probes on fixed tokens, for many rates and decays at once.

The probe of V-JEPA (arXiv 2404.08471): one learned query attends to the tokens
of a clip, the outputs of a block of the frozen backbone at each position; a
residual MLP and a linear classifier follow. It is trained by AdamW.
"""

import dataclasses
import itertools
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from hdc_jax.errors import ConfigError
from hdc_jax.evaluate import sweeps
from hdc_jax.train import optimizer

# Weights by name: float32 [R, ...] of R probes.
Weights = dict[str, jax.Array]

_WIDTH = 64  # channels of a head of the attention
_EXPANSION = 4  # width of the MLP, as a multiple of the channels
_EPSILON = 1e-5  # of the norms
_DEVIATION = 0.02  # standard deviation of the first weights
# The weights without decay: biases, and the scales of norms.
_UNDECAYED = ("bias", "scale")


@dataclasses.dataclass(frozen=True)
class Recipe(sweeps.Recipe):
  """How attentive probes are trained.

  Attributes:
    decays: Weight decays of AdamW; there is a probe for each pair of a rate and
      a decay.
  """

  section: ClassVar[str] = "attentive"
  names: ClassVar[tuple[str, ...]] = ("rate", "decay")

  decays: tuple[float, ...]

  def __post_init__(self) -> None:
    """Checks the fields."""
    super().__post_init__()
    if not self.decays:
      raise ConfigError("config.attentive.decays is empty: name one, such as 0")

  @property
  def settings(self) -> list[tuple[float, ...]]:
    """The rate and the decay of each probe."""
    return list(itertools.product(self.rates, self.decays))

  def init(self, shape: tuple[int, ...], classes: int, seed: int) -> Weights:
    """Random weights, the same for all settings; as in V-JEPA."""
    channels = shape[-1]
    wide = _EXPANSION * channels
    shapes = {
      "query": (channels,),
      "tokens/scale": (channels,),
      "tokens/bias": (channels,),
      "q/kernel": (channels, channels),
      "q/bias": (channels,),
      "k/kernel": (channels, channels),
      "v/kernel": (channels, channels),
      "v/bias": (channels,),
      "out/kernel": (channels, channels),
      "out/bias": (channels,),
      "pooled/scale": (channels,),
      "pooled/bias": (channels,),
      "mlp1/kernel": (channels, wide),
      "mlp1/bias": (wide,),
      "mlp2/kernel": (wide, channels),
      "mlp2/bias": (channels,),
      "classes/kernel": (channels, classes),
      "classes/bias": (classes,),
    }
    draw = jax.nn.initializers.truncated_normal(_DEVIATION)
    weights = {}
    for number, (name, of_one) in enumerate(shapes.items()):
      if name.endswith("bias"):
        value = jnp.zeros(of_one)
      elif name.endswith("scale"):
        value = jnp.ones(of_one)
      else:
        key = jax.random.fold_in(jax.random.key(seed), number)
        value = draw(key, of_one, jnp.float32)
      # What is added to the residual stream begins smaller.
      if name in ("out/kernel", "mlp2/kernel"):
        value = value / math.sqrt(2)
      weights[name] = jnp.tile(value, (len(self.settings), *[1] * value.ndim))
    return weights

  def logits(self, probes: Weights, features: jax.Array) -> jax.Array:
    """Logits float32 [..., R, C] of tokens [..., L, D]."""
    tokens = _normalise(features.astype(jnp.float32))
    return jax.vmap(_logits, (0, None), -2)(probes, tokens)

  def optimizer(self, steps_per_epoch: int) -> optax.GradientTransformation:
    """AdamW with a rate and a decay for each probe, and a cosine to 0."""
    schedule = optimizer.warmup_cosine(
      1.0,
      self.warmup_epochs * steps_per_epoch,
      self.epochs * steps_per_epoch,
    )
    rates, decays = jnp.array(self.settings, jnp.float32).T

    def scale(updates: Any, params: Any) -> Any:
      def one(name: str, update: jax.Array) -> jax.Array:
        shape = (-1, *[1] * (update.ndim - 1))
        if not name.endswith(_UNDECAYED):
          update = update + decays.reshape(shape) * params[name]
        return rates.reshape(shape) * update

      return {name: one(name, update) for name, update in updates.items()}

    return optax.chain(
      optax.scale_by_adam(),
      optax.stateless(scale),
      optax.scale_by_learning_rate(schedule),
    )


def _logits(weights: Weights, tokens: jax.Array) -> jax.Array:
  """Logits [..., C] by one probe, of normalised tokens [..., L, D].

  As there is one query, keys and values of all tokens need not be computed: the
  query of each head is multiplied with the kernel of the keys instead, and the
  kernel of the values with the average of the tokens. The bias of the keys
  would cancel in the softmax, so there is none.
  """
  channels = tokens.shape[-1]
  heads = channels // math.gcd(channels, _WIDTH)
  split = (heads, channels // heads)  # a head's channels follow each other
  # The first norm's scale and bias, as the second's, are each probe's own.
  scale, bias = weights["tokens/scale"], weights["tokens/bias"]
  query = _dense(weights, "q", weights["query"]).reshape(split)
  keys = weights["k/kernel"].reshape(channels, *split)
  by_channel = _einsum("dhc,hc->hd", keys, query) * scale
  similarity = _einsum("...ld,hd->...hl", tokens, by_channel)
  attention = jax.nn.softmax(similarity / math.sqrt(split[1]))
  averages = _einsum("...hl,...ld->...hd", attention, tokens) * scale + bias
  values = weights["v/kernel"].reshape(channels, *split)
  attended = _einsum("...hd,dhc->...hc", averages, values)
  attended = attended.reshape(*attended.shape[:-2], channels)
  pooled = weights["query"] + _dense(
    weights, "out", attended + weights["v/bias"]
  )
  hidden = _normalise(pooled) * weights["pooled/scale"]
  hidden = _dense(weights, "mlp1", hidden + weights["pooled/bias"])
  hidden = jax.nn.gelu(hidden, approximate=False)
  return _dense(weights, "classes", pooled + _dense(weights, "mlp2", hidden))


def _dense(weights: Weights, name: str, x: jax.Array) -> jax.Array:
  """A linear layer of inputs [..., D]."""
  product = _einsum("...d,de->...e", x, weights[f"{name}/kernel"])
  return product + weights[f"{name}/bias"]


def _einsum(equation: str, *arrays: jax.Array) -> jax.Array:
  """A product of float32 in full precision, also on a TPU."""
  return jnp.einsum(equation, *arrays, precision=jax.lax.Precision.HIGHEST)


def _normalise(x: jax.Array) -> jax.Array:
  """Subtracts the mean over the last axis, and scales to unit variance."""
  centred = x - x.mean(axis=-1, keepdims=True)
  variance = jnp.square(centred).mean(axis=-1, keepdims=True)
  return centred * jax.lax.rsqrt(variance + _EPSILON)
