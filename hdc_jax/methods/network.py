"""The network of a method, and the objective of its training."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hdc_jax.key_queue import Queue
from hdc_jax.methods import base
from hdc_jax.models import heads
from hdc_jax.objective import Batch, Objective, Outcome, Variables


class Network(nn.Module):
  """The backbone with the heads of a method.

  Attributes:
    backbone: Module that maps clips [B, T, H, W, 3] to endpoints by name.
    method: The method whose embeddings are computed.
  """

  backbone: nn.Module
  method: base.Method

  @nn.compact
  def __call__(
    self,
    views: Float[Array, "b v t h w 3"],
    train: bool = False,
    wanted: tuple[base.Embedding, ...] = (),
  ) -> dict[base.Embedding, Float[Array, "b n d"]]:
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
    groups: dict[tuple[str, str, base.Head], list[base.Embedding]] = {}
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


def make_objective(method: base.Method, backbone: nn.Module) -> Objective:
  """Makes the objective of a method.

  Args:
    method: The method.
    backbone: Module that maps clips to endpoints.
  """
  network = Network(backbone, method)

  def loss(
    params: Any, variables: Variables, batch: Batch, key: jax.Array
  ) -> tuple[jax.Array, Outcome]:
    del key  # these networks have no dropout

    def embed(params: Any, wanted: tuple[base.Embedding, ...]) -> Any:
      return network.apply(
        {"params": params, "batch_stats": variables.batch_stats},
        batch["views"],
        train=True,
        wanted=wanted,
        mutable=["batch_stats"],
      )

    if method.momentum:
      positives, _ = embed(variables.ema, method.positives)
      embeddings, updated = embed(params, method.trained)
    else:
      positives = None
      embeddings, updated = embed(params, method.embeddings)
    queues = {
      name: Queue(keys, variables.step)
      for name, keys in variables.queue.items()
    }
    with jax.named_scope("loss"):
      value, metrics = method.loss(embeddings, positives, queues)
    keys = (positives or {}) if method.queue else {}
    return value, Outcome(
      metrics,
      updated.get("batch_stats", {}),
      {embedding.name: key for embedding, key in keys.items()},
    )

  return Objective(
    network,
    method.views,
    method.starts,
    loss,
    method.description,
    method.momentum,
    method.queue,
  )
