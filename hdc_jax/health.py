"""Measures that tell whether embeddings have collapsed, without labels.

Each is a pure function of L2-normalised float32 embeddings [B, N, D] of B ≥ 2
videos at N temporal positions, looks at each position separately, and returns
the mean over positions, a float32 scalar. None is infinite or NaN as long as
the embeddings are finite. As in `losses`, the compiler gathers the embeddings
of all devices.

| measure | paper | good | collapsed |
|---|---|---|---|
| `rank` | RankMe, Garrido et al., 2023 | rises to 10 and more | 1 |
| `deviation` | SimSiam, Chen and He, 2021 | rises towards 1 | 0 |
| `uniformity` | Wang and Isola, 2020 | falls towards -4 | 0 |
| `alignment` | Wang and Isola, 2020 | falls, while uniformity does | 0 |
| `positive` | - | rises, while `negative` does not | 1 |
| `negative` | - | well below `positive` | 1 |
| `nearest` | MoCo, He et al., 2020 | rises towards 1 | 1 / B |

Alignment and the similarity of positives alone say nothing: a network that maps
every video to the same point has the best of both.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hdc_jax.objective import Pair

PREFIX = "health/"
# At most so many videos of a batch are measured, evenly spaced, so that the
# cost stays the same for larger batches.
VIDEOS = 1024
# Squares of singular values below this share of the largest are rounding errors
# of float32, and count as 0.
_ROUNDING = 1e-6


def rank(vectors: Float[Array, "b n d"]) -> Float[Array, ""]:
  """The effective rank: in how many directions embeddings differ (RankMe).

  It is exp(-Σ pᵢ log pᵢ) with pᵢ = σᵢ / Σ σⱼ, where σ are the singular values
  of the matrix [B, D] of a position (Eq. 1 of the paper), from the eigenvalues
  of the smaller of its two Gram matrices. Values below a thousandth of the
  largest count as 0. A good value has no absolute size: it is at most min(B,
  D), rises in training, and of two similar runs the one with the higher rank
  mostly transfers better. It is 1 where all embeddings are alike, or 0.

  Args:
    vectors: float32 [B, N, D].
  """
  return jnp.mean(_ranks(vectors.swapaxes(0, 1)))


def deviation(vectors: Float[Array, "b n d"]) -> Float[Array, ""]:
  """The standard deviation over videos, the mean over dimensions, times √D.

  SimSiam reports it without the factor: 1/√D for vectors that are spread evenly
  over the sphere, which therefore have 1 here, and 0 where all embeddings are
  alike. The mean similarity of different videos is about 1 minus its square.

  Args:
    vectors: float32 [B, N, D].
  """
  return jnp.mean(jnp.std(vectors, axis=0)) * jnp.sqrt(
    jnp.float32(vectors.shape[2])
  )


def uniformity(vectors: Float[Array, "b n d"]) -> Float[Array, ""]:
  """How evenly embeddings are spread: log mean exp(-2 |x - y|²).

  The mean is over pairs of different videos (Wang and Isola, with t = 2). It is
  about -4 for vectors that are spread evenly over a sphere of many dimensions,
  and 0 where all are alike.

  Args:
    vectors: float32 [B, N, D].
  """
  videos = len(vectors)
  squares = jnp.sum(vectors**2, axis=2).T  # [N, B]: 1, or 0 for a zero vector
  distances = squares[:, :, None] + squares[:, None, :]
  distances = jnp.maximum(
    distances - 2.0 * _dot_products(vectors, vectors), 0.0
  )
  itself = jnp.eye(videos, dtype=bool)
  summed = jnp.sum(jnp.exp(-2.0 * distances), axis=(1, 2), where=~itself)
  return jnp.mean(jnp.log(summed / (videos * (videos - 1))))


def alignment(
  anchors: Float[Array, "b n d"], positives: Float[Array, "b n d"]
) -> Float[Array, ""]:
  """How far anchors are from their positives: mean |a - p|² (Wang and Isola).

  It is 2 for embeddings that have nothing to do with each other, and 0 where
  they are equal, which is good only if `uniformity` is far below 0.

  Args:
    anchors: float32 [B, N, D].
    positives: float32 [B, N, D], in the same order.
  """
  return jnp.mean(jnp.sum((anchors - positives) ** 2, axis=2))


def similarities(
  anchors: Float[Array, "b n d"], positives: Float[Array, "b n d"]
) -> dict[str, Float[Array, ""]]:
  """How anchors compare with their positives, and with those of other videos.

  Args:
    anchors: float32 [B, N, D].
    positives: float32 [B, N, D], in the same order.

  Returns:
    'positive', the mean cosine of anchors and their positives; 'negative', that
    of anchors and the most similar positive of another video, the hardest
    negative; and 'nearest', the share of anchors in [0, 1] to which their own
    positive is the nearest, where a tie is none. Chance is 1 / B. `accuracy` of
    a term counts its further negatives too, and the whole batch.
  """
  products = _dot_products(anchors, positives)
  own = jnp.diagonal(products, axis1=1, axis2=2)
  itself = jnp.eye(len(anchors), dtype=bool)
  hardest = jnp.max(products, axis=2, where=~itself, initial=-jnp.inf)
  return {
    "positive": jnp.mean(own),
    "negative": jnp.mean(hardest),
    "nearest": jnp.mean(own > hardest),
  }


def measure(pairs: Mapping[str, Pair]) -> dict[str, Float[Array, ""]]:
  """Measures the embeddings of every term.

  Args:
    pairs: The anchors and positives of each term, by name of the term.

  Returns:
    Scalars by name: `health/rank/o_spatial5` for the embeddings of view `o` in
    term `spatial5`, and `health/nearest/spatial5` for what compares the two
    views of a term. Nothing if a batch has only one video.
  """
  embeddings, scalars = {}, {}
  for term, pair in pairs.items():
    sampled = [_sample(x) for x in (pair.anchors, pair.positives)]
    if len(sampled[0]) < 2:
      return {}
    compared = {"alignment": alignment(*sampled), **similarities(*sampled)}
    scalars |= {f"{name}/{term}": x for name, x in compared.items()}
    for view, vectors in zip(pair.views, sampled, strict=True):
      embeddings[f"{view}_{term}"] = vectors
  for name, vectors in embeddings.items():
    scalars[f"deviation/{name}"] = deviation(vectors)
    scalars[f"uniformity/{name}"] = uniformity(vectors)
  scalars |= {f"rank/{name}": x for name, x in _all_ranks(embeddings).items()}
  return {PREFIX + name: scalars[name] for name in sorted(scalars)}


def _sample(vectors: Float[Array, "b n d"]) -> Float[Array, "c n d"]:
  """At most `VIDEOS` of the videos, evenly spaced."""
  return vectors[:: -(-len(vectors) // VIDEOS)]


def _all_ranks(
  embeddings: Mapping[str, Float[Array, "b n d"]],
) -> dict[str, Float[Array, ""]]:
  """The rank of each of several embeddings.

  Those of one width are decomposed together, as an accelerator takes hardly
  longer for many small matrices than for one.
  """
  ranks = {}
  for width in {vectors.shape[2] for vectors in embeddings.values()}:
    alike = {n: x for n, x in embeddings.items() if x.shape[2] == width}
    ends, positions = [], 0
    for vectors in alike.values():
      positions += vectors.shape[1]
      ends.append(positions)
    stacked = jnp.concatenate([x.swapaxes(0, 1) for x in alike.values()])
    parts = jnp.split(_ranks(stacked), ends[:-1])
    ranks |= {n: jnp.mean(x) for n, x in zip(alike, parts, strict=True)}
  return ranks


def _ranks(matrices: Float[Array, "n b d"]) -> Float[Array, "n"]:
  """The effective rank of each matrix, see `rank`."""
  videos, width = matrices.shape[1:]
  product = "nbd,ncd->nbc" if videos < width else "nbd,nbe->nde"
  gram = jnp.einsum(
    product, matrices, matrices, precision=jax.lax.Precision.HIGHEST
  )
  squares = jnp.linalg.eigvalsh(gram)  # [N, min(B, D)], ascending
  squares = jnp.where(squares > _ROUNDING * squares[:, -1:], squares, 0.0)
  values = jnp.sqrt(squares)
  total = jnp.sum(values, axis=1, keepdims=True)
  shares = values / jnp.where(total > 0, total, 1.0)
  return jnp.exp(-jnp.sum(jax.scipy.special.xlogy(shares, shares), axis=1))


def _dot_products(
  anchors: Float[Array, "b n d"], keys: Float[Array, "b n d"]
) -> Float[Array, "n b b"]:
  """The dot product of every anchor with every key at the same position."""
  return jnp.einsum(
    "bnd,cnd->nbc", anchors, keys, precision=jax.lax.Precision.HIGHEST
  )
