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

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hdc_jax.augment import views as views_lib
from hdc_jax.data.clips import sampling
from hdc_jax.models import heads
from hdc_jax.objective import Batch, Metrics, Objective, Variables
from hdc_jax.options import Options, option

# A function that maps anchors, positives and, in some methods, negatives, all
# [B, N, D], to the loss and the accuracy, see `losses`.
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


@dataclasses.dataclass(frozen=True)
class Term:
  """One summand of the loss.

  Attributes:
    name: The name under which `loss/<name>` and `accuracy/<name>` are logged.
    anchor: The embeddings that are compared with keys.
    positive: The embeddings that anchors should be similar to. The positives of
      the other videos are negatives.
    contrast: The loss of anchors, positives and, if there are any, negatives.
    weight: Weight of the term in the sum.
    negative: Further negatives, one for each video; None if there are none.
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


@dataclasses.dataclass(frozen=True)
class Method:
  """A method: its views, and the terms of its loss.

  Attributes:
    views: The V views of each video.
    terms: The summands of the loss.
    starts: At which frames of a video the clips start that the views show.
    momentum: Decay m of the running mean of the parameters, with which the keys
      are encoded (0.999 in MoCo); 0 if the parameters themselves encode both
      anchors and keys.
  """

  views: tuple[views_lib.View, ...]
  terms: tuple[Term, ...]
  starts: sampling.Starts
  momentum: float = 0.0

  @property
  def anchors(self) -> tuple[Embedding, ...]:
    """The distinct anchors of the terms, in order."""
    return tuple(dict.fromkeys(term.anchor for term in self.terms))

  @property
  def keys(self) -> tuple[Embedding, ...]:
    """The distinct positives and negatives of the terms, in order."""
    return tuple(dict.fromkeys(key for term in self.terms for key in term.keys))

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
    self, embeddings: Mapping[Embedding, Float[Array, "b n d"]]
  ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Computes the weighted sum of the terms.

    Args:
      embeddings: Embeddings of the whole batch, float32 [B, N, D], for each of
        `self.embeddings`.

    Returns:
      The loss, and the metrics: the loss and the accuracy of each term.
    """
    total, metrics = jnp.float32(0.0), {}
    for term in self.terms:
      loss, accuracy = term.contrast(
        embeddings[term.anchor], *(embeddings[key] for key in term.keys)
      )
      total += term.weight * loss
      metrics[f"loss/{term.name}"] = loss
      metrics[f"accuracy/{term.name}"] = accuracy
    return total, metrics


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
    "Decay of the running mean of the parameters, with which the keys are "
    "encoded (0.999 in MoCo); 0: the parameters themselves encode anchors and "
    "keys.",
    at_least=0,
    below=1,
  )

  @abc.abstractmethod
  def make(self, augment: Any, size: int) -> Method:
    """Makes the views and terms that the options describe.

    Args:
      augment: Options of the class `self.augment`.
      size: Height and width of the views, in pixels.
    """


class Network(nn.Module):
  """The backbone with the heads of a method.

  Attributes:
    backbone: Module that maps clips [B, T, H, W, 3] to endpoints by name.
    method: The method whose embeddings are computed.
  """

  backbone: nn.Module
  method: Method

  @nn.compact
  def __call__(
    self,
    views: Float[Array, "b v t h w 3"],
    train: bool = False,
    wanted: tuple[Embedding, ...] = (),
  ) -> dict[Embedding, Float[Array, "b n d"]]:
    """Computes embeddings in one pass of the backbone.

    Views are folded into the batch with the videos outermost, so that no
    activations of a sharded batch move between devices.

    Args:
      views: The views of each video, [B, V, T, H, W, 3] in [-1, 1].
      train: Whether batch norm uses the statistics of the batch.
      wanted: Embeddings to compute, by default all of the method.

    Returns:
      The embeddings, float32 [B, N, D].
    """
    wanted = wanted or self.method.embeddings
    used = {e.view for e in wanted}
    names = [view.name for view in self.method.views]
    selected = [i for i, name in enumerate(names) if name in used]
    if len(selected) < len(names):
      views = views[:, jnp.array(selected)]  # [B, V', T, H, W, 3]
    position = {names[i]: at for at, i in enumerate(selected)}
    batch, count = views.shape[:2]
    # [B·V', T, H, W, 3] → [B·V', T', H', W', C]
    endpoints = self.backbone(views.reshape(-1, *views.shape[2:]), train)
    projections = {
      head: heads.Projection(head.dim, head.hidden, name=head.name)
      for head in dict.fromkeys(e.head for e in wanted)
    }
    # Embeddings with the same head are projected together, so that batch norm
    # in the head takes its statistics over all of them.
    groups: dict[tuple[str, str, Head], list[Embedding]] = {}
    for e in wanted:
      groups.setdefault((e.endpoint, e.pool, e.head), []).append(e)
    embedded = {}
    for (endpoint, pool, head), members in groups.items():
      features = endpoints[endpoint]
      # [B, V', T', H', W', C], of which M views are embedded: [B, M, …]
      features = features.reshape(batch, count, *features.shape[1:])
      features = jnp.stack([features[:, position[e.view]] for e in members], 1)
      # [B·M, T', H', W', C] → [B·M, N, C] → [B·M, N, D]
      features = features.reshape(-1, *features.shape[2:])
      vectors = projections[head](heads.average_pool(features, pool), train)
      vectors = vectors.reshape(batch, len(members), *vectors.shape[1:])
      embedded |= {e: vectors[:, i] for i, e in enumerate(members)}
    return embedded


def make_objective(method: Method, backbone: nn.Module) -> Objective:
  """Makes the objective of a method.

  Args:
    method: The method.
    backbone: Module that maps clips to endpoints.
  """
  network = Network(backbone, method)

  def loss(
    params: Any, variables: Variables, batch: Batch, key: jax.Array
  ) -> tuple[jax.Array, tuple[Metrics, Any]]:
    del key  # these networks have no dropout

    def embed(params: Any, wanted: tuple[Embedding, ...]) -> Any:
      return network.apply(
        {"params": params, "batch_stats": variables.batch_stats},
        batch["views"],
        train=True,
        wanted=wanted,
        mutable=["batch_stats"],
      )

    if method.momentum:
      keys, _ = embed(variables.ema, method.keys)
      embeddings, updated = embed(params, method.anchors)
      embeddings = keys | embeddings
    else:
      embeddings, updated = embed(params, method.embeddings)
    with jax.named_scope("loss"):
      value, metrics = method.loss(embeddings)
    return value, (metrics, updated.get("batch_stats", {}))

  return Objective(
    network,
    method.views,
    method.starts,
    loss,
    method.description,
    method.momentum,
  )
