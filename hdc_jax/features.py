"""Features of evaluation clips under one or more sets of weights."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import Mesh

from hdc_jax import config as config_lib
from hdc_jax.augment import geometry, views
from hdc_jax.data import evaluation, loader, sources
from hdc_jax.progress import Progress
from hdc_jax.train import sharding

Encoder = Callable[
  [Mapping[str, Any], Mapping[str, np.ndarray]], dict[str, jax.Array]
]


@dataclasses.dataclass(frozen=True)
class Features:
  """One vector per part of a video.

  Attributes:
    parts: P parts, in the order of the dataset.
    vectors: float32 [P, D], by the name of the weights.
  """

  parts: list[evaluation.Part]
  vectors: dict[str, np.ndarray]

  @property
  def labels(self) -> np.ndarray:
    """int64 [P], the class of each part."""
    return np.array([part.label for part in self.parts])

  @property
  def videos(self) -> np.ndarray:
    """int64 [P], the record number of each part's video."""
    return np.array([part.video for part in self.parts])


def pool(features: jax.Array) -> jax.Array:
  """Max-pools 1×2×2 with stride 1×2×2 and flattens.

  As in the protocol of video clip order prediction; a side of 1 stays.

  Args:
    features: [B, T, H, W, C].

  Returns:
    float32 [B, T · H/2 · W/2 · C].
  """
  window = (1, min(2, features.shape[2]), min(2, features.shape[3]))
  pooled = nn.max_pool(features.astype(jnp.float32), window, window)
  return pooled.reshape(len(pooled), -1)


def make_encoder(
  backbone: nn.Module, config: ml_collections.ConfigDict, mesh: Mesh
) -> Encoder:
  """The jitted function from weights by name and clips to features by name.

  Args:
    backbone: From clips to endpoints.
    config: `model.size` and `retrieve.endpoint` are used.
    mesh: To spread each batch over.

  Returns:
    A function of weights and 'y', 'uv' clips, whose first call raises a
    ConfigError if the backbone has no such endpoint.
  """
  centre = views.View("centre", 0, geometry.CentreCrop(config.model.size))

  def encode(weights: Mapping[str, Any], clips: Any) -> dict[str, jax.Array]:
    shown = views.make_views([centre], jax.random.key(0), clips)[:, 0]

    def features(variables: Any) -> jax.Array:
      endpoints = backbone.apply(variables, shown)
      return pool(
        config_lib.choose(
          "config.retrieve.endpoint", config.retrieve.endpoint, endpoints
        )
      )

    return {name: features(found) for name, found in weights.items()}

  everywhere = sharding.replicated(mesh)
  jitted = jax.jit(
    encode,
    in_shardings=(everywhere, sharding.batched(mesh)),
    out_shardings=everywhere,
    compiler_options=sharding.compiler_options(mesh),
  )
  return lambda weights, clips: jitted(
    weights, sharding.to_devices(mesh, clips)
  )


def extract(
  encode: Encoder,
  weights: Mapping[str, Any],
  source: sources.Source,
  config: ml_collections.ConfigDict,
  *,
  split: str,
  label: str,
) -> Features:
  """Encodes every part of every video of a split, averaging over its clips.

  Args:
    encode: From `make_encoder`.
    weights: Variables of the backbone by name; clips are decoded once for all.
    source: Of the videos.
    config: `data` and `retrieve` are used.
    split: Of the dataset.
    label: By which videos are parted.
  """
  options = config.retrieve
  parts: list[evaluation.Part] = []
  total = len(source.index.split(split))

  def clips_of_videos() -> Iterator[loader.Batch]:
    found = evaluation.read_parts(
      source, config.data, split=split, label=label, clips=options.clips
    )
    with Progress(total, "videos", f"{label} of {split}") as progress:
      for video_parts, clips in found:
        parts.extend(video_parts)
        yield clips
        progress.update()

  encoded: dict[str, list[np.ndarray]] = {name: [] for name in weights}
  batches = evaluation.rebatch(clips_of_videos(), options.batch_size)
  for clips, count in batches:
    for name, output in jax.device_get(encode(weights, clips)).items():
      encoded[name].append(output[:count])
  vectors = {
    name: np.concatenate(chunks)
    .reshape(len(parts), options.clips, -1)
    .mean(axis=1)
    for name, chunks in encoded.items()
  }
  return Features(parts, vectors)
