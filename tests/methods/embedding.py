"""Embeddings of a method by a backbone that gives what it is told."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hdc_jax.methods.network import Network

CHANNELS = 6


class Recorded(nn.Module):
  """A backbone whose last endpoint is a parameter, of all views.

  Attributes:
    videos: how many.
    views: of each, in the order of the method.
  """

  videos: int
  views: int

  @nn.compact
  def __call__(self, clips, train=False):
    shape = (self.videos, self.views, 2, 3, 2, CHANNELS)
    features = self.param("block5", nn.initializers.normal(1.0), shape)
    # The first pixel of a view says which view it is.
    chosen = clips[:, 0, 0, 0, 0].astype(int)
    videos = np.arange(len(chosen)) // max(1, len(chosen) // self.videos)
    return {"block5": features[videos, chosen]}


def number_views(videos, count):
  """Views that say which they are, float32 [videos, count, 1, 1, 1, 3]."""
  numbers = jnp.arange(count, dtype=jnp.float32).reshape(1, count, 1, 1, 1, 1)
  return jnp.broadcast_to(numbers, (videos, count, 1, 1, 1, 3))


def make(method, videos, seed=0):
  """The network, its variables, and views that say which they are."""
  count = len(method.views)
  network = Network(Recorded(videos, count), method)
  views = number_views(videos, count)
  return network, network.init(jax.random.key(seed), views), views


def pooled(variables):
  """What the backbone gives, averaged: float64 [videos, views, C]."""
  features = np.float64(variables["params"]["backbone"]["block5"])
  return features.mean((2, 3, 4))


def normalise(x):
  """Vectors of length 1."""
  return x / np.linalg.norm(x, axis=-1, keepdims=True)
