"""Features: the pooled endpoint of a backbone, and functions that compute it.

`make_encoder` compiles any function of clips for batches of an evaluation.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from hdc_jax.augment import geometry, views
from hdc_jax.data.clips.evaluation_clips import ADDRESS
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.models import BackboneOptions, heads
from hdc_jax.options import Options, option

# A function of weights and clips [B, T, S, S, 3] in [-1, 1] to arrays [B, …] by
# name.
Compute = Callable[[Any, jax.Array], dict[str, jax.Array]]
# A function of weights and a global batch of `evaluation.rebatch` to arrays
# [B, …] by name. It also returns the fields of `ADDRESS` and 'mask' of the
# batch.
Encoder = Callable[[Any, Mapping[str, jax.Array]], dict[str, jax.Array]]

# The endpoints of every backbone.
ENDPOINTS = tuple(f"block{n}" for n in range(1, 6))

# Name → function of an endpoint [B, T, H, W, C], float32, to vectors [B, D].
POOLS: dict[str, Callable[[jax.Array], jax.Array]] = {
  "average": lambda x: heads.average_pool(x, "space_time")[:, 0],
  "max": lambda x: jnp.max(x, axis=(1, 2, 3)),
  "cells": heads.cell_pool,
}


@dataclasses.dataclass(frozen=True)
class Pooled(Options, section="features"):
  """How the output of a block is pooled."""

  pool: str = option(
    "average",
    "How the output is pooled: average or max over all positions, or cells "
    "(maxima of 1×2×2 positions, flattened, as in video clip order "
    "prediction).",
    choices=POOLS,
  )


@dataclasses.dataclass(frozen=True)
class Endpoint(Options, section="features"):
  """The block that an evaluation is of."""

  endpoint: str = option(
    "block5",
    "The block whose output is evaluated: block1 to block5.",
    choices=ENDPOINTS,
  )


@dataclasses.dataclass(frozen=True)
class Features(Endpoint, Pooled):
  """Options of the features that an evaluation computes."""


@dataclasses.dataclass(frozen=True)
class FeaturesOfBlocks(Pooled):
  """Options of the features of several blocks, each by itself."""

  endpoints: tuple[str, ...] = option(
    ("block5",),
    "The blocks whose outputs are pooled, each by itself: block1 to block5.",
    choices=ENDPOINTS,
    required="name at least one block, such as ('block5',)",
  )


def pool(endpoint: jax.Array, how: str) -> jax.Array:
  """Pools an endpoint to one vector for each clip.

  Args:
    endpoint: Output of a block, [B, T, H, W, C] of any float dtype.
    how: A key of `POOLS`: 'average' or 'max' over all positions; or 'cells',
      maxima of 1×2×2 positions, flattened (an axis of length 1 is not pooled).

  Returns:
    float32 [B, C], or [B, T · H/2 · W/2 · C] for 'cells'.
  """
  return POOLS[how](endpoint.astype(jnp.float32))


def make_describe(
  backbone: BackboneOptions, features: Features
) -> Callable[[Any, jax.Array], jax.Array]:
  """Makes the function that computes the features of clips.

  Args:
    backbone: Options of the backbone.
    features: The endpoint, and how it is pooled.

  Returns:
    A traceable function of the backbone's variables and clips [B, T, S, S, 3]
    to features, float32 [B, D].
  """
  blocks = FeaturesOfBlocks(features.pool, (features.endpoint,))
  describe = make_describe_blocks(backbone, blocks)
  return lambda *arguments: describe(*arguments)[features.endpoint]


def make_describe_blocks(
  backbone: BackboneOptions, features: FeaturesOfBlocks
) -> Callable[[Any, jax.Array], dict[str, jax.Array]]:
  """Makes the function that computes the features of several blocks of clips.

  Args:
    backbone: Options of the backbone.
    features: The endpoints, and how they are pooled.

  Returns:
    A traceable function of the backbone's variables and clips [B, T, S, S, 3]
    to the features of each endpoint, float32 [B, D], by its name.
  """
  network = backbone.make()

  def describe(variables: Any, clips: jax.Array) -> dict[str, jax.Array]:
    endpoints: Any = network.apply(variables, clips)
    return {
      name: pool(endpoints[name], features.pool) for name in features.endpoints
    }

  return describe


def make_tokens(
  backbone: BackboneOptions, features: Endpoint
) -> Callable[[Any, jax.Array], jax.Array]:
  """Makes the function that computes the tokens of clips.

  Args:
    backbone: Options of the backbone.
    features: The endpoint.

  Returns:
    A traceable function of the backbone's variables and clips [B, T, S, S, 3]
    to the output of the endpoint at each position, [B, T' · H' · W', C], of the
    dtype in which the backbone computes.
  """
  network = backbone.make()

  def tokens(variables: Any, clips: jax.Array) -> jax.Array:
    endpoints: Any = network.apply(variables, clips)
    output = endpoints[features.endpoint]
    return output.reshape(len(output), -1, output.shape[-1])

  return tokens


def make_encoder(
  compute: Compute, view: views.View, mesh: Mesh, seed: int = 0
) -> Encoder:
  """Compiles a function of clips for the global batches of an evaluation.

  Args:
    compute: A traceable function of weights and views in [-1, 1].
    view: The augmentation of each clip. What is random in it depends on the
      seed, the video and the number of the clip, not on the batch.
    mesh: The devices over which each batch is sharded.
    seed: Seed of what is random in the view.

  Returns:
    A function of weights and a batch of `evaluation.rebatch`.
  """

  def show(
    numbers: tuple[jax.Array, ...], planes: Mapping[str, jax.Array]
  ) -> jax.Array:
    key = jax.random.key(seed)
    for number in numbers:
      key = jax.random.fold_in(key, number)
    return view(key, geometry.Canvas(**planes))

  def encode(weights: Any, batch: Mapping[str, jax.Array]) -> Any:
    numbers = tuple(batch[name] for name in ("video", "first", "clip"))
    fields = [name for name in geometry.Canvas._fields if name in batch]
    clips = jax.vmap(show)(numbers, {name: batch[name] for name in fields})
    address = {name: batch[name] for name in (*ADDRESS, "mask")}
    return address | compute(weights, clips)

  return mesh_lib.jit(encode, mesh)


def centre_view(size: int) -> views.View:
  """Makes the view that shows the centre of each frame, without augmentation.

  Args:
    size: Height and width of the view, in pixels.
  """
  return views.View("centre", 0, geometry.CentreCrop(size))


def whole_view(size: int) -> views.View:
  """Makes the view that shows whole windows, resized, without augmentation.

  Args:
    size: Height and width of the view, in pixels.
  """
  return views.View("whole", 0, geometry.WholePicture(size))
