"""Objectives: views of a video, a network, and the loss of the two.

Methods make objectives, and the training advances them: it needs to know
neither what the views are nor what the network computes.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import flax.linen as nn
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


class Outcome(NamedTuple):
  """What the loss function returns besides the loss.

  Attributes:
    metrics: Scalars to log, by name.
    batch_stats: New running means of batch norms.
    keys: Keys of the batch for the queue, [B, N, D] by name of the embedding;
      empty without a queue.
  """

  metrics: Metrics
  batch_stats: Any
  keys: dict[str, jax.Array]


# A function of the trained parameters, the other variables, a batch with
# 'views' [B, V, T, H, W, 3] and a key for what is random in the network.
Loss = Callable[[Any, Variables, Batch, jax.Array], tuple[jax.Array, Outcome]]


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
  """

  network: nn.Module
  views: tuple[views_lib.View, ...]
  starts: sampling.Starts
  loss: Loss
  description: str
  momentum: float = 0.0
  queue: int = 0
