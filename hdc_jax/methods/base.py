"""A method as data: views of a video, and terms of the loss between them.

The train step makes the views, encodes them once, and sums the terms; it knows
no method by name. A new method is a file that returns a `Method`, and a line in
the registry.
"""

import dataclasses
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from hdc_jax.augment import views as views_lib
from hdc_jax.data.clips import sampling
from hdc_jax.models import heads

# (anchors, positives[, negatives]) [B, N, D] → (loss, accuracy); see `losses`.
Objective = Callable[..., tuple[Float[Array, ""], Float[Array, ""]]]


@dataclasses.dataclass(frozen=True, order=True)
class Head:
  """A projection; heads of one name share their parameters.

  Attributes:
    name: Of the parameters.
    dim: Embedding width D.
    hidden: Widths of the layers before; none for a linear projection.
  """

  name: str
  dim: int
  hidden: tuple[int, ...] = ()


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
    objective: Of anchors, positives and, if there are, negatives.
    weight: In the sum.
    negative: Of each video, to be told from its positive; if any.
  """

  name: str
  anchor: Embedding
  positive: Embedding
  objective: Objective
  weight: float = 1.0
  negative: Embedding | None = None

  @property
  def keys(self) -> tuple[Embedding, ...]:
    """What anchors are compared with."""
    return tuple(e for e in (self.positive, self.negative) if e)


@dataclasses.dataclass(frozen=True)
class Method:
  """Views and terms.

  Attributes:
    views: V views per video.
    terms: Summed by weight.
    starts: Of the clips that the views are of.
    momentum: Of the encoder of the keys, a running mean of the trained one
      (MoCo's m, say 0.999); 0: one encoder for all.
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
    """Anchors and keys."""
    needed = (e for term in self.terms for e in (term.anchor, *term.keys))
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
        embeddings[term.anchor], *(embeddings[key] for key in term.keys)
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
    self,
    views: Float[Array, "b v t h w 3"],
    train: bool = False,
    wanted: tuple[Embedding, ...] = (),
  ) -> dict[Embedding, Float[Array, "b n d"]]:
    """Embeds views in one pass of the backbone.

    Views are folded into the batch with the videos outermost, so that a batch
    sharded over devices stays where it is.

    Args:
      views: In [-1, 1].
      train: Whether batch norm uses the batch's statistics.
      wanted: Embeddings to compute, by default all of the method.
    """
    wanted = wanted or self.method.embeddings
    used = {e.view for e in wanted}
    names = [view.name for view in self.method.views]
    places = [i for i, name in enumerate(names) if name in used]
    if len(places) < len(names):
      views = views[:, jnp.array(places)]
    numbers = {names[place]: i for i, place in enumerate(places)}
    batch, count = views.shape[:2]
    endpoints = self.backbone(views.reshape(-1, *views.shape[2:]), train)
    projections = {
      head: heads.Projection(head.dim, head.hidden, name=head.name)
      for head in dict.fromkeys(e.head for e in wanted)
    }
    # What shares a head goes through it together, for batch norm's statistics.
    groups: dict[tuple[str, str, Head], list[Embedding]] = {}
    for e in wanted:
      groups.setdefault((e.endpoint, e.pool, e.head), []).append(e)
    embedded = {}
    for (endpoint, pool, head), members in groups.items():
      features = endpoints[endpoint]
      features = features.reshape(batch, count, *features.shape[1:])
      features = jnp.stack([features[:, numbers[e.view]] for e in members], 1)
      features = features.reshape(-1, *features.shape[2:])
      vectors = projections[head](heads.average_pool(features, pool), train)
      vectors = vectors.reshape(batch, len(members), *vectors.shape[1:])
      embedded |= {e: vectors[:, i] for i, e in enumerate(members)}
    return embedded
