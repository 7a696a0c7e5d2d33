"""A method as data: views of a video, and terms of the loss between them.

A new method is one file with a subclass of `MethodOptions`, and a line in the
registry (`methods.METHODS`). The fields of the class are the method's fields in
a config, and `make` returns the views and terms. The rest of the package knows
no method by name. docs/extend.md has a complete example.
"""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hdc_jax.augment import views as views_lib
from hdc_jax.data.clips import sampling
from hdc_jax.errors import ConfigError
from hdc_jax.key_queue import Queue
from hdc_jax.options import Options, option

# A function that maps anchors, positives and, in some methods, negatives, all
# [B, N, D], and `queue=` if there is one, to the loss and the accuracy, see
# `losses`.
Contrast = Callable[..., tuple[Float[Array, ""], Float[Array, ""]]]


@dataclasses.dataclass(frozen=True, order=True)
class Head:
  """A projection head; heads of the same name share their parameters.

  Attributes:
    name: Name of the head's parameters.
    dim: Width D of the embeddings.
    hidden: Widths of the hidden layers; empty for a linear projection.
  """

  name: str
  dim: int
  hidden: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, order=True)
class Embedding:
  """Which embedding to compute; equal descriptions are computed once.

  They have an order, because the keys of a pytree must have one.

  Attributes:
    view: Name of the view.
    endpoint: Name of the backbone's endpoint.
    pool: 'space' (one vector for each temporal position) or 'space_time' (one
      vector).
    head: The projection of the pooled features.
  """

  view: str
  endpoint: str
  pool: str
  head: Head

  @property
  def name(self) -> str:
    """A name that no other embedding of the method has."""
    return "-".join((self.view, self.endpoint, self.pool, self.head.name))


@dataclasses.dataclass(frozen=True)
class Term:
  """One summand of the loss.

  Attributes:
    name: The name under which `loss/<name>` and `accuracy/<name>` are logged.
    anchor: The embeddings that are compared with keys.
    positive: The embeddings that anchors should be similar to. The positives of
      the other videos are negatives. A running mean of the parameters encodes
      the positives, if the method has one, and the queue has those of earlier
      batches.
    contrast: The loss of anchors, positives and, if there are any, negatives.
    weight: Weight of the term in the sum.
    negative: Further negatives, one for each video; None if there are none. The
      trained parameters encode them, as they do the anchors, so that gradients
      reach them (DSM).
  """

  name: str
  anchor: Embedding
  positive: Embedding
  contrast: Contrast
  weight: float = 1.0
  negative: Embedding | None = None

  @property
  def keys(self) -> tuple[Embedding, ...]:
    """The embeddings with which anchors are compared."""
    return tuple(e for e in (self.positive, self.negative) if e)

  @property
  def trained(self) -> tuple[Embedding, ...]:
    """The embeddings that the trained parameters always encode."""
    return tuple(e for e in (self.anchor, self.negative) if e)


@dataclasses.dataclass(frozen=True)
class Method:
  """A method: its views, and the terms of its loss.

  Attributes:
    views: The V views of each video.
    terms: The summands of the loss.
    starts: At which frames of a video the clips start that the views show.
    momentum: Decay m of the running mean of the parameters, with which the
      positives are encoded (0.999 in MoCo); 0 if the parameters themselves
      encode everything.
    queue: Number of positives of earlier batches that are further negatives; 0
      for none.
  """

  views: tuple[views_lib.View, ...]
  terms: tuple[Term, ...]
  starts: sampling.Starts
  momentum: float = 0.0
  queue: int = 0

  @property
  def trained(self) -> tuple[Embedding, ...]:
    """The distinct anchors and negatives of the terms, in order."""
    return tuple(dict.fromkeys(e for term in self.terms for e in term.trained))

  @property
  def positives(self) -> tuple[Embedding, ...]:
    """The distinct positives of the terms, in order."""
    return tuple(dict.fromkeys(term.positive for term in self.terms))

  @property
  def embeddings(self) -> tuple[Embedding, ...]:
    """The distinct anchors and keys of the terms, in order."""
    needed = (e for term in self.terms for e in (term.anchor, *term.keys))
    return tuple(dict.fromkeys(needed))

  @property
  def description(self) -> str:
    """The loss as a sum of names of terms, for the log."""
    return " + ".join(f"{term.weight:g}·{term.name}" for term in self.terms)

  def loss(
    self,
    embeddings: Mapping[Embedding, Float[Array, "b n d"]],
    positives: Mapping[Embedding, Float[Array, "b n d"]] | None = None,
    queues: Mapping[str, Queue] | None = None,
  ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Computes the weighted sum of the terms.

    Args:
      embeddings: Embeddings of the whole batch, float32 [B, N, D], for each of
        `self.embeddings`; with `positives`, for each of `self.trained`.
      positives: The same for each of `self.positives`, if the parameters
        themselves do not encode them.
      queues: Positives of earlier batches, by name of the embedding; none by
        default.

    Returns:
      The loss, and the metrics: the loss and the accuracy of each term.
    """
    positives = embeddings if positives is None else positives
    total, metrics = jnp.float32(0.0), {}
    for term in self.terms:
      anchors, *negatives = (embeddings[e] for e in term.trained)
      queue = (queues or {}).get(term.positive.name)
      loss, accuracy = term.contrast(
        anchors,
        positives[term.positive],
        *negatives,
        **({} if queue is None else {"queue": queue}),
      )
      total += term.weight * loss
      metrics[f"loss/{term.name}"] = loss
      metrics[f"accuracy/{term.name}"] = accuracy
    return total, metrics

  def chance(self, batch_size: int) -> dict[str, float]:
    """Computes the loss of each term where all embeddings are alike.

    For InfoNCE, it is the logarithm of the number of keys.

    Args:
      batch_size: Number of videos B.

    Returns:
      The loss by name of the term; with a queue, once that is full.
    """
    # One dimension is enough for embeddings that are alike.
    alike = jnp.ones((batch_size, 1, 1))
    queue = None
    if self.queue:
      batches = self.queue // batch_size
      keys = jnp.ones((batches, batch_size, 1, 1))
      queue = Queue(keys, jnp.int32(batches))
    queues = {e.name: queue for e in self.positives if queue}
    # A compiled function does not keep the product of all anchors and keys.
    compute = jax.jit(lambda *arguments: self.loss(*arguments)[1])
    losses = compute(
      dict.fromkeys(self.trained, alike),
      dict.fromkeys(self.positives, alike),
      queues,
    )
    return {t.name: float(losses[f"loss/{t.name}"]) for t in self.terms}


@dataclasses.dataclass(frozen=True)
class MethodOptions(Options, abc.ABC, section="method"):
  """Base of the options of each method: section `method` of a config.

  Attributes:
    name: The name of the method in a config and in the registry.
    augment: The class of the method's options in section `augment`.
    recipe: Values of other fields, by dotted name, with which the method's
      paper pretrains, where they differ from the defaults.
  """

  name: ClassVar[str]
  augment: ClassVar[type[Options]]
  recipe: ClassVar[Mapping[str, Any]] = {}

  momentum: float = option(
    0.0,
    "Decay of the running mean of the parameters, with which the positives are "
    "encoded (0.999 in MoCo); 0: the parameters themselves encode everything.",
    at_least=0,
    below=1,
  )
  queue: int = option(
    0,
    "Number of keys in the queue: positives of earlier batches, which are "
    "further negatives (65,536 in MoCo). A multiple of data.batch_size, with "
    "method.momentum; 0: no queue.",
    at_least=0,
  )

  def check(self) -> None:
    """Checks that a queue has an encoder that changes slowly.

    Raises:
      ConfigError: If it has none.
    """
    if self.queue and not self.momentum:
      raise ConfigError(
        f"config.method.queue={self.queue} needs a momentum encoder, as its "
        "keys are of earlier steps: set config.method.momentum, such as 0.999"
      )

  @abc.abstractmethod
  def make(self, augment: Any, size: int) -> Method:
    """Makes the views and terms that the options describe.

    Args:
      augment: Options of the class `self.augment`.
      size: Height and width of the views, in pixels.
    """
