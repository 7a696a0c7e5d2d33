"""Exact nearest neighbours by cosine similarity, in blocks, and kNN's votes.

Queries and gallery stay in host memory. The device holds at most two blocks of
each, the similarities of one pair, and the k results of every query.
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

# Below every cosine, and above the -inf of what is no result at all.
_OWN_VIDEO = -2.0


@dataclasses.dataclass(frozen=True)
class Neighbours:
  """The nearest gallery vectors of every query.

  Attributes:
    indices: int32 [Q, k], nearest first.
    similarities: float32 [Q, k], cosines; -inf for parts of the query's own
      video.
  """

  indices: np.ndarray
  similarities: np.ndarray


def _merge(
  best: tuple[jax.Array, jax.Array],
  queries: dict[str, jax.Array],
  gallery: dict[str, jax.Array],
  first: jax.Array,
  size: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """The best of what was found so far and of one block of the gallery.

  Args:
    best: Similarities float32 [B, k] and indices int32 [B, k] so far.
    queries: 'vectors' float32 [B, D] and 'videos' int32 [B].
    gallery: The same of a block; rows beyond `size` are padding.
    first: int32 scalar, the index of the block's first row.
    size: int32 scalar, of the whole gallery.
  """
  similarities, indices = best
  found = jnp.matmul(
    vectors.normalise(queries["vectors"]),
    vectors.normalise(gallery["vectors"]).T,
    precision=jax.lax.Precision.HIGHEST,
  )
  own = queries["videos"][:, None] == gallery["videos"]
  found = jnp.where(own, _OWN_VIDEO, found)
  real = first + jnp.arange(found.shape[1]) < size
  found = jnp.where(real, found, -jnp.inf)
  # Of equals, `top_k` takes the one in front: here the lower index.
  k = indices.shape[1]
  similarities, columns = jax.lax.top_k(
    jnp.concatenate([similarities, found], axis=1), k
  )
  kept = jnp.take_along_axis(indices, jnp.minimum(columns, k - 1), axis=1)
  return similarities, jnp.where(columns < k, kept, first + columns - k)


@functools.cache
def _jit_merge(mesh: Mesh) -> Callable:
  """`_merge` with the queries spread over the devices of a mesh.

  It is mapped over the devices, as the compiler would gather the similarities
  of all of them for `top_k`.
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
  rows: np.ndarray, videos: np.ndarray, first: int, size: int
) -> dict[str, np.ndarray]:
  """`size` vectors and their videos from row `first` on, padded with zeros."""
  taken = slice(first, first + size)
  missing = size - len(rows[taken])
  return {
    "vectors": np.pad(rows[taken], ((0, missing), (0, 0))),
    "videos": np.pad(videos[taken], (0, missing)).astype(np.int32),
  }


def nearest(
  queries: np.ndarray,
  gallery: np.ndarray,
  query_videos: np.ndarray,
  gallery_videos: np.ndarray,
  k: int,
  mesh: Mesh,
  query_block: int = 1024,
  gallery_block: int = 16384,
) -> Neighbours:
  """The `k` nearest gallery vectors of every query, by cosine similarity.

  Parts of the query's own video come last, so that a split can search itself.
  Of equally near ones the lower index comes first.

  Args:
    queries: float32 [Q, D].
    gallery: float32 [G, D].
    query_videos: int [Q], which video each is of.
    gallery_videos: int [G].
    k: One beyond G gives G.
    mesh: Each query block is spread over it.
    query_block: Queries per block; rounded up to a multiple of the devices.
    gallery_block: Gallery vectors per block.

  Raises:
    DataError: If a vector is not finite.
  """
  vectors.check_finite("query", queries)
  vectors.check_finite("gallery", gallery)
  count, size, devices = len(queries), len(gallery), mesh.devices.size
  query_block = -(-min(query_block, count) // devices) * devices
  gallery_block = min(gallery_block, size)
  shape = (query_block, min(k, size))
  merge = _jit_merge(mesh)

  starts = range(0, count, query_block)
  nothing = np.full(shape, -np.inf, np.float32), np.zeros(shape, np.int32)
  best = [mesh_lib.whole_to_devices(mesh, nothing) for _ in starts]
  last = best[0]
  # The gallery is the outer loop, so that it goes to the device only once.
  for first in range(0, size, gallery_block):
    against = jax.device_put(
      _block(gallery, gallery_videos, first, gallery_block),
      mesh_lib.replicated(mesh),
    )
    for i, start in enumerate(starts):
      sought = mesh_lib.whole_to_devices(
        mesh, _block(queries, query_videos, start, query_block)
      )
      # These blocks are on their way while the device merges the last ones; to
      # wait here keeps more from following.
      jax.block_until_ready(last)
      last = best[i] = merge(
        best[i], sought, against, np.int32(first), np.int32(size)
      )
  similarities, indices = (
    np.concatenate(blocks)[:count]
    for blocks in zip(*mesh_lib.gather(best), strict=True)
  )
  similarities[similarities == _OWN_VIDEO] = -np.inf
  return Neighbours(indices, similarities)


def knn_scores(
  neighbours: Neighbours,
  gallery_labels: np.ndarray,
  classes: int,
  temperature: float,
  k: int,
) -> np.ndarray:
  """Class scores by weighted kNN (Wu et al. 2018, arXiv 1805.01978).

  Each neighbour votes for its class with exp(similarity / temperature); parts
  of the query's own video do not vote.

  Args:
    neighbours: Of Q queries.
    gallery_labels: int [G], the class of each gallery vector.
    classes: How many there are.
    temperature: 0.07 in the paper.
    k: How many neighbours vote; one beyond those there are takes all.

  Returns:
    float32 [Q, classes] that sum to 1; zeros for a query without any vote.
  """
  similarities = neighbours.similarities[:, :k].astype(np.float64)
  # Relative to the nearest, so that no temperature overflows.
  peaks = similarities.max(axis=1, keepdims=True)
  votes = np.exp(
    (similarities - np.where(np.isfinite(peaks), peaks, 0.0)) / temperature
  )
  scores = np.zeros((len(votes), classes))
  rows = np.arange(len(votes))[:, None]
  np.add.at(scores, (rows, gallery_labels[neighbours.indices[:, :k]]), votes)
  sums = scores.sum(axis=1, keepdims=True)
  return (scores / np.where(sums > 0, sums, 1.0)).astype(np.float32)
