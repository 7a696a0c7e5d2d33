"""Exact nearest neighbours by cosine similarity, and kNN classification.

Queries and gallery stay in host memory, and go to the device in blocks. The
device holds at most two blocks of each, the similarities of one pair of blocks,
and the k nearest neighbours of every query.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.evaluate import vectors

# Stands for the similarity of segments of the same owner: below every cosine,
# and above the -inf of padding.
_OWN = -2.0


@dataclasses.dataclass(frozen=True)
class Neighbours:
  """The nearest gallery vectors of every query.

  Attributes:
    indices: int32 [Q, k], rows of the gallery, nearest first.
    similarities: float32 [Q, k], their cosine similarities; -inf for segments
      of the query's own video or group.
  """

  indices: np.ndarray
  similarities: np.ndarray


def _merge(
  best: dict[str, jax.Array],
  queries: dict[str, jax.Array],
  gallery: dict[str, jax.Array],
  first: jax.Array,
  size: jax.Array,
) -> dict[str, jax.Array]:
  """Merges the nearest neighbours so far with those in a gallery block.

  Args:
    best: 'similarities' float32 [B, k] and 'indices' int32 [B, k] in the
      gallery of the nearest neighbours so far.
    queries: 'vectors' float32 [B, D] and 'owners' int32 [B] of a query block.
    gallery: 'vectors' float32 [G, D] and 'owners' int32 [G] of a gallery block;
      rows beyond the end of the gallery are padding.
    first: int32 scalar, index in the gallery of the block's first row.
    size: int32 scalar, number of rows in the whole gallery.

  Returns:
    'similarities' and 'indices' as in `best`, nearest first.
  """
  cosines = jnp.matmul(
    vectors.normalise(queries["vectors"]),
    vectors.normalise(gallery["vectors"]).T,
    precision=jax.lax.Precision.HIGHEST,
  )
  own = queries["owners"][:, None] == gallery["owners"]
  cosines = jnp.where(own, _OWN, cosines)
  valid = first + jnp.arange(cosines.shape[1]) < size
  cosines = jnp.where(valid, cosines, -jnp.inf)
  # Of equal values `top_k` takes the first, here that of the lower index.
  k = best["indices"].shape[1]
  similarities, columns = jax.lax.top_k(
    jnp.concatenate([best["similarities"], cosines], axis=1), k
  )
  kept = jnp.take_along_axis(
    best["indices"], jnp.minimum(columns, k - 1), axis=1
  )
  indices = jnp.where(columns < k, kept, first + columns - k)
  return {"similarities": similarities, "indices": indices}


@functools.cache
def _jit_merge(mesh: Mesh) -> Callable:
  """Compiles `_merge` with the queries spread over the devices of a mesh.

  `shard_map` keeps each device to its own queries; without it the compiler
  would gather the similarities of all devices for `top_k`.
  """
  split, everywhere = mesh_lib.batched(mesh), mesh_lib.replicated(mesh)
  return jax.jit(
    jax.shard_map(
      _merge,
      mesh=mesh,
      in_specs=(split.spec, split.spec, *[everywhere.spec] * 3),
      out_specs=split.spec,
    ),
    in_shardings=(split, split, *[everywhere] * 3),
    out_shardings=split,
    donate_argnums=0,
    compiler_options=mesh_lib.compiler_options(mesh),
  )


def _block(
  rows: np.ndarray, owners: np.ndarray, first: int, size: int
) -> dict[str, np.ndarray]:
  """Takes `size` rows from row `first` on, padded with zeros.

  Args:
    rows: float32 [N, D], vectors.
    owners: int [N], the owner of each, see `nearest`.
    first: Index of the first row.
    size: Number of rows in the block.

  Returns:
    'vectors' float32 [size, D] and 'owners' int32 [size].
  """
  block = slice(first, first + size)
  missing = size - len(rows[block])
  return {
    "vectors": np.pad(rows[block], ((0, missing), (0, 0))),
    "owners": np.pad(owners[block], (0, missing)).astype(np.int32),
  }


def nearest(
  queries: np.ndarray,
  gallery: np.ndarray,
  query_owners: np.ndarray,
  gallery_owners: np.ndarray,
  k: int,
  mesh: Mesh,
  query_block: int = 1024,
  gallery_block: int = 16384,
) -> Neighbours:
  """The `k` nearest gallery vectors of every query, by cosine similarity.

  Segments of the query's own owner come last: of its video, so that the videos
  of a split can be searched among themselves, or of its group. Of equally near
  vectors the one with the lower index comes first.

  Args:
    queries: float32 [Q, D], of any length.
    gallery: float32 [G, D], of any length.
    query_owners: int [Q], the video or the group of each query.
    gallery_owners: int [G], that of each gallery vector.
    k: Number of neighbours of each query; at most G are returned.
    mesh: Mesh over which each query block is spread.
    query_block: Number of queries per block, rounded up to a multiple of the
      number of devices.
    gallery_block: Number of gallery vectors per block.

  Returns:
    The neighbours, min(k, G) for each query.

  Raises:
    DataError: If a vector is not finite.

  Example:
    Video 0 searches a gallery of three videos, itself among them.

    >>> from hdc_jax.distributed.mesh import make_mesh
    >>> gallery = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
    >>> videos = np.arange(3)
    >>> neighbours = nearest(
    ...   gallery[:1], gallery, videos[:1], videos, k=3, mesh=make_mesh(1)
    ... )
    >>> print(neighbours.indices, neighbours.similarities.round(2))
    [[2 1 0]] [[0.71 0.   -inf]]
  """
  vectors.check_finite("query", queries)
  vectors.check_finite("gallery", gallery)
  count, size, devices = len(queries), len(gallery), mesh.devices.size
  query_block = -(-min(query_block, count) // devices) * devices
  gallery_block = min(gallery_block, size)
  shape = (query_block, min(k, size))
  merge = _jit_merge(mesh)

  starts = range(0, count, query_block)
  initial = {
    "similarities": np.full(shape, -np.inf, np.float32),
    "indices": np.zeros(shape, np.int32),
  }
  best = [mesh_lib.whole_to_devices(mesh, initial) for _ in starts]
  last = best[0]
  # The gallery is the outer loop, so that it goes to the device only once.
  for first in range(0, size, gallery_block):
    gallery_rows = jax.device_put(
      _block(gallery, gallery_owners, first, gallery_block),
      mesh_lib.replicated(mesh),
    )
    for i, start in enumerate(starts):
      query_rows = mesh_lib.whole_to_devices(
        mesh, _block(queries, query_owners, start, query_block)
      )
      # These blocks are transferred while the device merges the previous ones.
      # Waiting here keeps more blocks than these two from the device.
      jax.block_until_ready(last)
      last = best[i] = merge(
        best[i], query_rows, gallery_rows, np.int32(first), np.int32(size)
      )
  blocks = mesh_lib.gather(best)
  similarities, indices = (
    np.concatenate([block[name] for block in blocks])[:count]
    for name in ("similarities", "indices")
  )
  similarities[similarities == _OWN] = -np.inf
  return Neighbours(indices, similarities)


def knn_scores(
  neighbours: Neighbours,
  shown: np.ndarray,
  temperature: float,
  k: int,
) -> np.ndarray:
  """Class scores by weighted kNN (Wu et al. 2018, arXiv 1805.01978).

  Each neighbour votes for its classes with weight exp(similarity /
  temperature); segments of the query's own video or group do not vote.

  Args:
    neighbours: Neighbours of Q queries.
    shown: bool [G, C], whether each gallery vector has each class.
    temperature: Softmax temperature > 0 (0.07 in the paper).
    k: Number of neighbours that vote; if there are fewer, all vote.

  Returns:
    float32 [Q, C], the share of the votes for each class, which sum to 1 if
    each vector has one class; all 0 for a query without votes.
  """
  similarities = neighbours.similarities[:, :k].astype(np.float64)
  # Relative to the nearest neighbour, so that no temperature overflows.
  peaks = similarities.max(axis=1, keepdims=True)
  votes = np.exp(
    (similarities - np.where(np.isfinite(peaks), peaks, 0.0)) / temperature
  )
  scores = np.zeros((len(votes), shown.shape[1]))
  for weights, rows in zip(votes.T, neighbours.indices[:, :k].T, strict=True):
    scores += weights[:, None] * shown[rows]
  sums = votes.sum(axis=1, keepdims=True)
  return (scores / np.where(sums > 0, sums, 1.0)).astype(np.float32)
