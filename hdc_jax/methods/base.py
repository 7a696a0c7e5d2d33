"""A method as data: views of a video, and terms of the loss between them.

The train step makes the views, encodes them once, and sums the terms; it knows
no method by name. A new method is a file that returns a `Method`, and a line in
the registry.
"""

import dataclasses
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from hdc_jax.augment import views as views_lib
from hdc_jax.models import heads

# (anchors, keys) → (loss, accuracy); see `losses`.
Objective = Callable[
  [Float[Array, "b n d"], Float[Array, "b n d"]],
  tuple[Float[Array, ""], Float[Array, ""]],
]


@dataclasses.dataclass(frozen=True, order=True)
class Head:
  """A linear projection; heads of one name share their parameters.

  Attributes:
    name: Of the parameters.
    dim: Embedding width D.
  """

  name: str
  dim: int


@dataclasses.dataclass(frozen=True, order=True)
class Embedding:
  """Where an embedding comes from; equal ones are computed once.

  Ordered, so that embeddings can be the keys of a pytree.

  Attributes:
    view: Name of the view.
    endpoint: Name of the backbone's endpoint.
    pool: 'space' (one vector per temporal position) or 'space_time' (one).
    head: What projects the pooled features.
  """

  view: str
  endpoint: str
  pool: str
  head: Head


@dataclasses.dataclass(frozen=True)
class Term:
  """One summand of the loss.

  Attributes:
    name: Under which `loss/<name>` and `accuracy/<name>` are logged.
    anchor: Whose positive is to be found.
    positive: The keys; each video's own is the positive, others negatives.
    objective: Of anchors and keys.
    weight: In the sum.
  """

  name: str
  anchor: Embedding
  positive: Embedding
  objective: Objective
  weight: float


@dataclasses.dataclass(frozen=True)
class Method:
  """Views and terms.

  Attributes:
    views: V views per video.
    terms: Summed by weight.
  """

  views: tuple[views_lib.View, ...]
  terms: tuple[Term, ...]

  @property
  def clips(self) -> int:
    """How many clips the loader must cut from each video."""
    return 1 + max(view.clip for view in self.views)

  @property
  def embeddings(self) -> tuple[Embedding, ...]:
    """The distinct embeddings that the terms need, in order."""
    needed = (e for term in self.terms for e in (term.anchor, term.positive))
    return tuple(dict.fromkeys(needed))

  def loss(
    self, embeddings: Mapping[Embedding, Float[Array, "b n d"]]
  ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """The weighted sum of the terms, and what to log of each.

    Args:
      embeddings: Of the whole batch, for each of `self.embeddings`.
    """
    total, metrics = 0.0, {}
    for term in self.terms:
      loss, accuracy = term.objective(
        embeddings[term.anchor], embeddings[term.positive]
      )
      total += term.weight * loss
      metrics[f"loss/{term.name}"] = loss
      metrics[f"accuracy/{term.name}"] = accuracy
    return total, metrics


class Network(nn.Module):
  """The backbone with a method's heads.

  Attributes:
    backbone: From clips to endpoints.
    method: Whose embeddings to compute.
  """

  backbone: nn.Module
  method: Method

  @nn.compact
  def __call__(
    self, views: Float[Array, "b v t h w 3"], train: bool = False
  ) -> dict[Embedding, Float[Array, "b n d"]]:
    """Embeds all views in one pass of the backbone.

    Views are folded into the batch with the videos outermost, so that a batch
    sharded over devices stays where it is.

    Args:
      views: In [-1, 1].
      train: Whether batch norm uses the batch's statistics.
    """
    batch, count = views.shape[:2]
    endpoints = self.backbone(views.reshape(-1, *views.shape[2:]), train)
    numbers = {view.name: i for i, view in enumerate(self.method.views)}
    projections = {
      head: heads.Projection(head.dim, name=head.name)
      for head in dict.fromkeys(e.head for e in self.method.embeddings)
    }

    def embed(embedding: Embedding) -> jax.Array:
      features = endpoints[embedding.endpoint]
      features = features.reshape(batch, count, *features.shape[1:])
      pooled = heads.average_pool(
        features[:, numbers[embedding.view]], embedding.pool
      )
      return projections[embedding.head](pooled)

    return {e: embed(e) for e in self.method.embeddings}
