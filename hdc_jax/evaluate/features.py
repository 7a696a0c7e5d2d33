"""What a network says of every clip of a dataset, each counted exactly once.

Every process reads its part of the videos; batches are global, and what the
network says of them is known to every process. A process that runs out of
videos goes on with padding until all have.
"""

import collections
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import Mesh

from hdc_jax import models
from hdc_jax.augment import geometry, views
from hdc_jax.data import sources
from hdc_jax.data.clips import cutting, evaluation
from hdc_jax.data.clips.test_clips import Looks
from hdc_jax.data.labels.segments import Part
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.distributed import processes
from hdc_jax.errors import DataError, choose
from hdc_jax.models import heads
from hdc_jax.runtime.progress import Progress

# From weights and clips [B, T, S, S, 3] to arrays [B, …] by name.
Compute = Callable[[Any, jax.Array], dict[str, jax.Array]]
# From weights and a global batch of clips to arrays [B, …] by name.
Encoder = Callable[[Any, Mapping[str, jax.Array]], dict[str, jax.Array]]

_PADDING = -1  # in place of a video's number


@dataclasses.dataclass(frozen=True)
class Outputs:
  """What a network says of parts of videos.

  Attributes:
    parts: P parts, in the order of the dataset.
    ids: Of the video of each part.
    values: float32 [P, …] by name, means over the clips of each part; or
      [P, clips, …].
  """

  parts: list[Part]
  ids: list[str]
  values: dict[str, np.ndarray]

  @property
  def labels(self) -> np.ndarray:
    """int64 [P], the class of each part."""
    return np.array([part.label for part in self.parts], np.int64)

  @property
  def videos(self) -> np.ndarray:
    """int64 [P], the record number of each part's video."""
    return np.array([part.video for part in self.parts], np.int64)


def pool(endpoint: jax.Array, how: str) -> jax.Array:
  """One vector of what a block computes.

  Args:
    endpoint: [B, T, H, W, C].
    how: 'average' or 'max' over all positions; or 'cells', maxima of 1×2×2
      positions, flattened, as in video clip order prediction (a side of 1
      stays).

  Returns:
    float32 [B, C], or [B, T · H/2 · W/2 · C].

  Raises:
    ConfigError: If there is no such pooling.
  """
  x = endpoint.astype(jnp.float32)
  pools = {
    "average": lambda: heads.average_pool(x, "space_time")[:, 0],
    "max": lambda: jnp.max(x, axis=(1, 2, 3)),
    "cells": lambda: heads.cell_pool(x),
  }
  return choose("config.features.pool", how, pools)()


def make_describe(
  config: ml_collections.ConfigDict,
) -> Callable[[Any, jax.Array], jax.Array]:
  """What a backbone is asked for, by `config.model` and `config.features`.

  Returns:
    A traceable function of the backbone's variables and clips [B, T, S, S, 3]
    to features, float32 [B, D]. It raises a ConfigError if the backbone has no
    such endpoint, or there is no such pooling.
  """
  backbone, options = models.make_backbone(config.model), config.features

  def describe(variables: Any, clips: jax.Array) -> jax.Array:
    endpoints = backbone.apply(variables, clips)
    endpoint = choose("config.features.endpoint", options.endpoint, endpoints)
    return pool(endpoint, options.pool)

  return describe


def make_encoder(
  compute: Compute, view: views.View, mesh: Mesh, seed: int = 0
) -> Encoder:
  """Compiles what is to be computed of a global batch of clips.

  Args:
    compute: Traceable; of clips in [-1, 1].
    view: Of each clip. What is random in it depends on the seed, the video and
      the number of the clip, not on the batch.
    mesh: To spread each batch over.
    seed: Of the view.

  Returns:
    A function of weights and 'rows', 'y', 'uv', see `CutParts`.
  """

  def look(row: jax.Array, y: jax.Array, uv: jax.Array) -> jax.Array:
    key = jax.random.key(seed)
    for number in (row[0], row[1], row[-1]):  # video, first frame, clip
      key = jax.random.fold_in(key, number)
    return view(key, geometry.Canvas(y, uv))

  def encode(weights: Any, batch: Mapping[str, jax.Array]) -> Any:
    clips = jax.vmap(look)(batch["rows"], batch["y"], batch["uv"])
    return {"rows": batch["rows"]} | compute(weights, clips)

  return mesh_lib.jit(encode, mesh)


def centre_view(size: int) -> views.View:
  """A clip as it was cut."""
  return views.View("centre", 0, geometry.CentreCrop(size))


def extract(
  encode: Encoder,
  weights: Any,
  source: sources.Source,
  numbers: np.ndarray,
  config: ml_collections.ConfigDict,
  mesh: Mesh,
  *,
  label: str,
  looks: Looks,
  average: bool = True,
  title: str = "",
) -> Outputs:
  """Encodes the clips of every part of some videos.

  Args:
    encode: From `make_encoder`, for the same mesh.
    weights: For it.
    source: Of the videos.
    numbers: Of their records.
    config: `data` and `test.batch_size` are used.
    mesh: Of all devices.
    label: By which videos are parted; '' for none.
    looks: Which clips.
    average: Over the clips of a part; else they stay apart.
    title: Of the progress line.

  Raises:
    ConfigError: If the batch does not split over the devices.
    DataError: If a video cannot be decoded, or an output is not finite.
  """
  mesh_lib.check_batch_size(
    "config.test.batch_size", config.test.batch_size, mesh
  )
  local = numbers[jax.process_index() :: jax.process_count()]
  ids: dict[int, str] = {}

  def clips() -> Iterator[cutting.Batch]:
    found = evaluation.read_clips(
      source, local, config.data, label=label, looks=looks
    )
    with Progress(len(local), "videos", title) as progress:
      for number, video in zip(local.tolist(), found, strict=True):
        ids[number] = str(video.pop("id"))
        yield video
        progress.update()

  collected = _Collected(average)
  pending = None
  for batch in _lockstep(clips(), config, looks):
    outputs = encode(weights, mesh_lib.to_devices(mesh, batch))
    # Fetched one batch late, so that the device never waits for the host.
    if pending is not None and not collected.add(jax.device_get(pending)):
      break
    pending = outputs
  else:
    collected.add(jax.device_get(pending))
  ids = _share(ids)
  order = {number: i for i, number in enumerate(numbers.tolist())}
  parts, values = collected.result(order)
  _check_finite(values, [ids[part.video] for part in parts])
  return Outputs(parts, [ids[part.video] for part in parts], values)


def _lockstep(
  clips: Iterator[cutting.Batch],
  config: ml_collections.ConfigDict,
  looks: Looks,
) -> Iterator[cutting.Batch]:
  """Local batches of one size: those of this process, then padding.

  Padding follows for ever if there are other processes: they may have more.
  """
  size = config.test.batch_size // jax.process_count()
  for batch, count in evaluation.rebatch(clips, size):
    batch["rows"][count:] = _PADDING
    yield batch
  side = looks.size
  padding = {
    "rows": np.full((size, 5), _PADDING, np.int32),
    "y": np.zeros((size, looks.frames, side, side), np.uint8),
    "uv": np.zeros((size, looks.frames, side // 2, side // 2, 2), np.uint8),
  }
  while jax.process_count() > 1:
    yield padding


class _Collected:
  """Outputs by part: sums, or all of them."""

  def __init__(self, average: bool) -> None:
    self._average = average
    self._counts = collections.Counter[Part]()
    self._values: dict[str, dict[Part, Any]] = {}

  def add(self, outputs: dict[str, np.ndarray]) -> bool:
    """Takes in a batch; returns whether there was anything in it."""
    rows = outputs.pop("rows").tolist()
    real = [i for i, row in enumerate(rows) if row[0] != _PADDING]
    for i in real:
      part = Part(*rows[i][:-1])
      self._counts[part] += 1
      for name, values in outputs.items():
        parts = self._values.setdefault(name, {})
        if not self._average:
          # By the number of the clip: batches come in any order of processes.
          parts.setdefault(part, {})[rows[i][-1]] = values[i]
        elif part in parts:
          parts[part] += values[i]
        else:
          parts[part] = values[i].astype(np.float64)
    return bool(real)

  def result(
    self, order: Mapping[int, int]
  ) -> tuple[list[Part], dict[str, np.ndarray]]:
    """The parts in order, and what was collected of them."""
    parts = sorted(self._counts, key=lambda p: (order[p.video], p.first))

    def value(name: str, part: Part) -> np.ndarray:
      found = self._values[name].pop(part)
      if self._average:
        return (found / self._counts[part]).astype(np.float32)
      return np.stack([found[i] for i in sorted(found)])

    return parts, {
      name: np.stack([value(name, part) for part in parts])
      for name in self._values
    }


def _share(ids: dict[int, str]) -> dict[int, str]:
  """The ids of all processes, by record number."""
  return {
    int(number): name
    for told in processes.exchange(ids)
    for number, name in told.items()
  }


def _check_finite(values: Mapping[str, np.ndarray], ids: list[str]) -> None:
  """Raises DataError if a value is NaN or infinite."""
  for name, found in values.items():
    finite = np.isfinite(found.reshape(len(found), -1)).all(axis=1)
    if not finite.all():
      raise DataError(
        f"{name}: {np.sum(~finite)} of {len(found)} outputs of the network are "
        f"not finite, the first of {ids[int(np.argmin(finite))]}: its weights "
        "are broken, use an older checkpoint"
      )
