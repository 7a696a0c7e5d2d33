"""Blocked search and kNN against brute force in float64."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import DataError
from hdc_jax.evaluate import search


def brute_force(queries, gallery, query_videos, gallery_videos, k):
  """Indices and cosines, by a stable sort of all pairs."""
  indices, similarities = [], []
  for query, video in zip(np.float64(queries), query_videos, strict=True):
    cosines = [
      query @ g / max(np.linalg.norm(query) * np.linalg.norm(g), 1e-30)
      for g in np.float64(gallery)
    ]
    cosines = np.where(gallery_videos == video, -np.inf, cosines)
    order = sorted(range(len(gallery)), key=lambda j: -cosines[j])[:k]
    indices.append(order)
    similarities.append(cosines[order])
  return np.array(indices), np.array(similarities)


def check(found, want):
  indices, similarities = want
  np.testing.assert_array_equal(found.indices, indices)
  np.testing.assert_allclose(found.similarities, similarities, atol=1e-6)
  assert found.indices.dtype == np.int32
  assert found.similarities.dtype == np.float32


@pytest.mark.parametrize("devices", [1, 3, 8])
@pytest.mark.parametrize(
  ("query_block", "gallery_block"), [(1, 1), (4, 5), (5, 19), (1024, 16384)]
)
def test_nearest_is_brute_force(devices, query_block, gallery_block):
  """Also where whole blocks are of the query's own video."""
  rng = np.random.default_rng(0)
  # Lengths differ by far, and do not matter.
  queries = rng.standard_normal((11, 7)) * rng.uniform(0.01, 100, (11, 1))
  gallery = rng.standard_normal((23, 7)) * rng.uniform(0.01, 100, (23, 1))
  arrays = np.float32(queries), np.float32(gallery)
  videos = np.arange(11) // 2, np.arange(23) // 9
  for k in (4, 23):
    found = search.nearest(
      *arrays,
      *videos,
      k,
      mesh_lib.make_mesh(devices),
      query_block,
      gallery_block,
    )
    check(found, brute_force(*arrays, *videos, k))


def test_a_split_searches_itself():
  """The own video's parts are last, and there even if all are wanted."""
  rng = np.random.default_rng(0)
  rows = rng.standard_normal((9, 4)).astype(np.float32)
  videos = np.array([0, 0, 0, 1, 2, 3, 3, 4, 5])
  found = search.nearest(
    rows, rows, videos, videos, 50, mesh_lib.make_mesh(2), 4, 2
  )
  assert found.indices.shape == (9, 9)  # k is clipped to the gallery
  assert np.sort(found.indices).tolist() == [list(range(9))] * 9
  own = videos[found.indices] == videos[:, None]
  np.testing.assert_array_equal(own, found.similarities == -np.inf)
  assert np.all(np.diff(own.astype(int), axis=1) >= 0)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_ties_go_to_the_lower_index(data):
  """Of vectors whose products have no rounding: signed units and zeros."""
  count = data.draw(st.integers(1, 12))
  size = data.draw(st.integers(1, 12))
  axes = st.integers(0, 4)

  def draw(length):
    drawn = data.draw(st.lists(axes, min_size=length, max_size=length))
    units = np.array([[0, 0], [2, 0], [-4, 0], [0, 1], [0, 8]], np.float32)
    return units[drawn]

  queries, gallery = draw(count), draw(size)
  videos = np.arange(count), np.arange(size) * 2
  # Few shapes, for each is compiled.
  k, query_block, gallery_block = 4, 2, data.draw(st.sampled_from([3, 5]))
  found = search.nearest(
    queries,
    gallery,
    *videos,
    k,
    mesh_lib.make_mesh(2),
    query_block,
    gallery_block,
  )
  check(found, brute_force(queries, gallery, *videos, k))


def random_pair(count, size, dim=16):
  rng = np.random.default_rng(0)
  rows = rng.standard_normal((count + size, dim)).astype(np.float32)
  videos = np.arange(count + size)
  return rows[:count], rows[count:], videos[:count], videos[count:]


def test_compiled_once_whatever_the_sizes():
  mesh = mesh_lib.make_mesh(2)
  search._jit_merge.cache_clear()
  for count, size in ((9, 64), (40, 301)):
    search.nearest(*random_pair(count, size), 3, mesh, 8, 32)
  assert search._jit_merge(mesh)._cache_size() == 1


def test_memory_is_bounded_by_blocks(monkeypatch):
  """The device never holds more than two blocks of each, and the results."""
  mesh, dim, k, query_block, gallery_block = mesh_lib.make_mesh(1), 64, 2, 8, 16
  held = []
  merge = search._jit_merge(mesh)
  before = jax.live_arrays()  # of other tests; kept, so that ids are unique

  def watched(*args):
    alive = {id(x): x.nbytes for x in jax.live_arrays()}
    held.append(sum(alive.values()) - sum(alive.get(id(x), 0) for x in before))
    return merge(*args)

  monkeypatch.setattr(search, "_jit_merge", lambda mesh: watched)
  count = 20
  for size in (40, 640):
    search.nearest(
      *random_pair(count, size, dim), k, mesh, query_block, gallery_block
    )
  results = 24 * k * 2 * 4
  blocks = 2 * (query_block + gallery_block) * (dim + 1) * 4
  assert len(held) == 3 * (3 + 40)
  assert max(held) <= results + blocks


def lower(devices):
  """The merge of 512 gallery vectors into the results of 64 queries."""
  queries, gallery, query_videos, gallery_videos = random_pair(64, 512)
  return search._jit_merge(mesh_lib.make_mesh(devices)).lower(
    {
      "similarities": np.zeros((64, 4), np.float32),
      "indices": np.zeros((64, 4), np.int32),
    },
    {"vectors": queries, "owners": np.int32(query_videos)},
    {"vectors": gallery, "owners": np.int32(gallery_videos)},
    np.int32(0),
    np.int32(512),
  )


def test_devices_share_the_work():
  """Each holds the similarities of its own queries, and gathers no others."""
  one, eight = lower(1).compile(), lower(8).compile()
  temporary = [c.memory_analysis().temp_size_in_bytes for c in (one, eight)]
  assert temporary[1] < temporary[0] / 3
  assert "all-gather" not in eight.as_text()


def test_precision():
  """On CPU the precisions do not differ."""
  assert "HIGHEST" in lower(1).as_text()


@pytest.mark.parametrize("name", ["query", "gallery"])
def test_vectors_that_are_not_finite(name):
  queries, gallery, *videos = random_pair(5, 6)
  rows = {"query": queries, "gallery": gallery}[name]
  rows[2, 1], rows[4, 0] = np.nan, np.inf
  message = rf"2 of the {len(rows)} {name} vectors .* row 2"
  with pytest.raises(DataError, match=message):
    search.nearest(queries, gallery, *videos, 2, mesh_lib.make_mesh(1))


@pytest.mark.parametrize("k", [1, 3, 7, 100])
@pytest.mark.parametrize("temperature", [0.07, 1.0, 1e-3])
def test_knn_is_brute_force(k, temperature):
  rng = np.random.default_rng(0)
  indices = np.array([rng.permutation(9)[:7] for _ in range(20)])
  similarities = -np.sort(-rng.uniform(-1, 1, (20, 7)))
  similarities[3:8, 2:] = -np.inf
  similarities[5] = -np.inf
  labels = rng.integers(4, size=9)
  want = np.zeros((20, 5))
  for i in range(20):
    votes = [
      (labels[j], np.exp(np.longdouble(s) / temperature))
      for j, s in zip(indices[i], similarities[i], strict=True)
    ][:k]
    total = sum(vote for _, vote in votes)
    for label, vote in votes:
      want[i, label] += vote / total if total else 0.0
  found = search.knn_scores(
    search.Neighbours(np.int32(indices), np.float32(similarities)),
    np.eye(5, dtype=bool)[labels],
    temperature=temperature,
    k=k,
  )
  assert found.dtype == np.float32
  # Float32 similarities over a small temperature.
  np.testing.assert_allclose(found, want, atol=1e-7 / temperature)
  sums = np.delete(found, 5, axis=0).sum(axis=1)
  np.testing.assert_allclose(sums, 1, rtol=1e-6)
  assert not found[5].any()
