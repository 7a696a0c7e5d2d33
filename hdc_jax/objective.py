"""Objectives: views of a video, a network, and the loss of the two.

Methods make objectives, and the training advances them: it needs to know
neither what the views are nor what the network computes.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import flax.linen as nn
import flax.struct
import jax

from hdc_jax.augment import views as views_lib
from hdc_jax.data.clips import sampling

# What the device gets of a batch: arrays [B, …] by name.
Batch = Mapping[str, jax.Array]
# Scalars to log, by name.
Metrics = dict[str, jax.Array]


@runtime_checkable
class Variables(Protocol):
  """What the loss may read of a state besides the trained parameters.

  Attributes:
    batch_stats: Running means of batch norms.
    ema: Running mean of the parameters, for the encoder of the keys.
    queue: Keys of earlier batches [M, B, N, D] by name of the embedding.
    step: Steps taken, an int32 scalar.
  """

  batch_stats: Any
  ema: Any
  queue: Any
  step: jax.Array


@flax.struct.dataclass
class Pair:
  """The embeddings that a term of the loss makes similar.

  Attributes:
    anchors: float32 [B, N, D].
    positives: float32 [B, N, D], in the same order.
    views: Names of the view of the anchors and of that of the positives.
  """

  anchors: jax.Array
  positives: jax.Array
  views: tuple[str, str] = flax.struct.field(pytree_node=False)


class Outcome(NamedTuple):
  """What the loss function returns besides the loss.

  Attributes:
    metrics: Scalars to log, by name.
    batch_stats: New running means of batch norms.
    keys: Keys of the batch for the queue, [B, N, D] by name of the embedding;
      empty without a queue.
    pairs: Embeddings of the batch by name of the term, to measure their health;
      empty if the loss compares none.
  """

  metrics: Metrics
  batch_stats: Any
  keys: dict[str, jax.Array]
  pairs: dict[str, Pair]


# A function of the trained parameters, the other variables, a batch with
# 'views' [B, V, T, H, W, 3] and a key for what is random in the network.
Loss = Callable[[Any, Variables, Batch, jax.Array], tuple[jax.Array, Outcome]]


@dataclasses.dataclass(frozen=True)
class Parts:
  """A loss in two parts: what each video has of its own, and its comparison.

  So the videos of a batch can be encoded some at a time, see
  `train.microbatches`.

  Attributes:
    encode: A traceable function of the trained parameters, the other variables
      and a batch with 'views', or a part of one. It returns the features that
      are compared, a pytree of arrays [B, …], and new running means of batch
      norms.
    compare: A traceable function of the trained parameters, the other
      variables, the features of the whole batch and running means of batch
      norms. It returns the loss and its outcome.
  """

  encode: Callable[[Any, Variables, Batch], tuple[Any, Any]]
  compare: Callable[[Any, Variables, Any, Any], tuple[jax.Array, Outcome]]

  def whole(
    self, params: Any, variables: Variables, batch: Batch, key: jax.Array
  ) -> tuple[jax.Array, Outcome]:
    """The loss of a batch that is encoded at once, see `Loss`.

    Args:
      params: The trained parameters.
      variables: The other variables.
      batch: The batch with 'views'.
      key: Not used: these networks have no dropout.
    """
    del key
    features, batch_stats = self.encode(params, variables, batch)
    return self.compare(params, variables, features, batch_stats)


@dataclasses.dataclass(frozen=True)
class Objective:
  """What a run learns.

  Attributes:
    network: The module whose parameters are trained; it takes views
      [B, V, T, H, W, 3], and its `backbone` takes clips to endpoints.
    views: The V views that are made of every video.
    starts: At which frames of a video the clips start that the views show.
    loss: A traceable function, see `Loss`.
    description: The loss in words, for the log.
    momentum: Decay m of the running mean of the parameters, with which the keys
      are encoded: ema ← m·ema + (1 - m)·params; 0 for none.
    queue: Number of keys of earlier batches that are negatives; 0 for none.
    chance: A function from the number of videos in a batch to the loss of each
      term where all embeddings are alike, by name of the term.
    parts: The loss in two parts; None if it has no such parts.
  """

  network: nn.Module
  views: tuple[views_lib.View, ...]
  starts: sampling.Starts
  loss: Loss
  description: str
  momentum: float = 0.0
  queue: int = 0
  chance: Callable[[int], Mapping[str, float]] = lambda batch_size: {}
  parts: Parts | None = None
