"""The network of a method, and the objective of its training."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hdc_jax.key_queue import Queue
from hdc_jax.methods import base
from hdc_jax.models import heads
from hdc_jax.objective import (
  Batch,
  Objective,
  Outcome,
  Pair,
  Parts,
  Variables,
)

# Pooled features, float32 [B, V', N, C], by endpoint and pooling.
Pooled = dict[tuple[str, str], jax.Array]


class Network(nn.Module):
  """The backbone with the heads of a method.

  Attributes:
    backbone: Module that maps clips [B, T, H, W, 3] to endpoints by name.
    method: The method whose embeddings are computed.
  """

  backbone: nn.Module
  method: base.Method

  def __call__(
    self,
    views: Float[Array, "b v t h w 3"],
    train: bool = False,
    wanted: tuple[base.Embedding, ...] = (),
  ) -> dict[base.Embedding, Float[Array, "b n d"]]:
    """Computes embeddings in one pass of the backbone.

    Args:
      views: The views of each video, [B, V, T, H, W, 3] in [-1, 1].
      train: Whether batch norm uses the statistics of the batch.
      wanted: Embeddings to compute, by default all of the method.

    Returns:
      The embeddings, float32 [B, N, D].
    """
    wanted = wanted or self.method.embeddings
    return self.project(self.pool(views, train, wanted), train, wanted)

  def pool(
    self,
    views: Float[Array, "b v t h w 3"],
    train: bool,
    wanted: tuple[base.Embedding, ...],
  ) -> Pooled:
    """Computes the pooled features of which embeddings are made.

    Views are folded into the batch with the videos outermost, so that no
    activations of a sharded batch move between devices.

    Args:
      views: The views of each video, [B, V, T, H, W, 3] in [-1, 1].
      train: Whether batch norm uses the statistics of the batch.
      wanted: The embeddings that are to be made.

    Returns:
      The features of the V' views that are needed, float32 [B, V', N, C], by
      endpoint and pooling.
    """
    selected = self._selected(wanted)
    if len(selected) < len(self.method.views):
      views = views[:, jnp.array(list(selected.values()))]
    batch, count = views.shape[:2]
    # [B·V', T, H, W, 3] → [B·V', T', H', W', C]
    endpoints = self.backbone(views.reshape(-1, *views.shape[2:]), train)
    pooled = {}
    for endpoint, pool in dict.fromkeys((e.endpoint, e.pool) for e in wanted):
      features = heads.average_pool(endpoints[endpoint], pool)
      # [B·V', N, C] → [B, V', N, C]
      features = features.reshape(batch, count, *features.shape[1:])
      pooled[endpoint, pool] = features
    return pooled

  @nn.compact
  def project(
    self, pooled: Pooled, train: bool, wanted: tuple[base.Embedding, ...]
  ) -> dict[base.Embedding, Float[Array, "b n d"]]:
    """Projects pooled features to embeddings.

    Args:
      pooled: What `pool` returns for the same embeddings.
      train: Whether batch norm uses the statistics of the batch.
      wanted: Embeddings to compute.

    Returns:
      The embeddings, float32 [B, N, D].
    """
    position = {name: at for at, name in enumerate(self._selected(wanted))}
    projections = {
      head: heads.Projection(head.dim, head.hidden, name=head.name)
      for head in dict.fromkeys(e.head for e in wanted)
    }
    # Embeddings with the same head are projected together, so that batch norm
    # in the head takes its statistics over all of them.
    groups: dict[tuple[str, str, base.Head], list[base.Embedding]] = {}
    for e in wanted:
      groups.setdefault((e.endpoint, e.pool, e.head), []).append(e)
    embedded = {}
    for (endpoint, pool, head), members in groups.items():
      # [B, V', N, C], of which M views are embedded: [B, M, N, C]
      features = pooled[endpoint, pool]
      features = jnp.stack([features[:, position[e.view]] for e in members], 1)
      batch, count = features.shape[:2]
      # [B·M, N, C] → [B·M, N, D] → [B, M, N, D]
      vectors = projections[head](
        features.reshape(-1, *features.shape[2:]), train
      )
      vectors = vectors.reshape(batch, count, *vectors.shape[1:])
      embedded |= {e: vectors[:, i] for i, e in enumerate(members)}
    return embedded

  @nn.nowrap
  def _selected(self, wanted: tuple[base.Embedding, ...]) -> dict[str, int]:
    """The views that embeddings need, by name, with their places among all."""
    used = {e.view for e in wanted}
    names = [view.name for view in self.method.views]
    return {name: i for i, name in enumerate(names) if name in used}


def make_objective(method: base.Method, backbone: nn.Module) -> Objective:
  """Makes the objective of a method.

  Args:
    method: The method.
    backbone: Module that maps clips to endpoints.
  """
  network = Network(backbone, method)
  wanted = method.trained if method.momentum else method.embeddings

  def run(
    function: Callable, params: Any, batch_stats: Any, *arguments: Any
  ) -> tuple[Any, Any]:
    """Calls a method of the network in training.

    Returns:
      What it returns, and the new running means of batch norms.
    """
    returned, updated = network.apply(
      {"params": params, "batch_stats": batch_stats},
      *arguments,
      method=function,
      mutable=["batch_stats"],
    )
    return returned, updated.get("batch_stats", {})

  def encode(
    params: Any, variables: Variables, batch: Batch
  ) -> tuple[Any, Any]:
    views, old = batch["views"], variables.batch_stats
    pooled, updated = run(Network.pool, params, old, views, True, wanted)
    positives = None
    if method.momentum:
      keys = method.positives
      positives, _ = run(Network.pool, variables.ema, old, views, True, keys)
    return (pooled, positives), updated

  def compare(
    params: Any, variables: Variables, features: Any, batch_stats: Any
  ) -> tuple[jax.Array, Outcome]:
    project, (pooled, positives) = Network.project, features
    if positives is not None:
      ema, keys = variables.ema, method.positives
      positives, _ = run(project, ema, batch_stats, positives, True, keys)
    embeddings, updated = run(
      project, params, batch_stats, pooled, True, wanted
    )
    queues = {
      name: Queue(keys, variables.step)
      for name, keys in variables.queue.items()
    }
    with jax.named_scope("loss"):
      value, metrics = method.loss(embeddings, positives, queues)
    keys = (positives or {}) if method.queue else {}
    compared = embeddings if positives is None else positives
    return value, Outcome(
      metrics,
      updated,
      {embedding.name: key for embedding, key in keys.items()},
      {
        term.name: Pair(
          embeddings[term.anchor],
          compared[term.positive],
          (term.anchor.view, term.positive.view),
        )
        for term in method.terms
      },
    )

  parts = Parts(encode, compare)
  return Objective(
    network,
    method.views,
    method.starts,
    parts.whole,
    method.description,
    method.momentum,
    method.queue,
    method.chance,
    parts,
  )
