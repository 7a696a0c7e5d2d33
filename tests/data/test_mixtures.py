"""Several datasets with weights are one."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdc_jax.data import mixtures, sources
from hdc_jax.data.options import Dataset, Learnable
from hdc_jax.data.store.index import Index
from hdc_jax.errors import ConfigError

PARTS = mixtures.parse("a:0.7,b:0.3")


def index(name, videos, **changes):
  splits = {"train": [(0, videos - 2)], "test": [(videos - 2, videos)]}
  made = Index(name, "", "h264", 40, videos, 10, {}, splits, (), ())
  return dataclasses.replace(made, **changes)


@pytest.mark.parametrize(
  ("path", "want"),
  [
    ("/data/k400", []),
    ("gs://bucket/k400", []),
    ("/data/a,b", []),
    ("/data/of:2", []),
    ("a:0.7,b:0.3", [("a", 0.7), ("b", 0.3)]),
    ("a:3, gs://b/c:.5", [("a", 3.0), ("gs://b/c", 0.5)]),
    ("s3://a:1,b:2,c:0.25", [("s3://a", 1.0), ("b", 2.0), ("c", 0.25)]),
  ],
)
def test_parse(path, want):
  assert mixtures.parse(path) == want
  assert mixtures.paths(path) == ([name for name, _ in want] or [path])


@pytest.mark.parametrize(
  ("path", "message"),
  [
    ("a:0.7,b", "'b' of the mixture has no weight: write DATASET:WEIGHT"),
    ("a:0.7,b:0", "the weight of b must be above 0"),
    ("a:0.7,b:" + 400 * "9", "the weight of b must be above 0"),
    ("a:0.7,a:0.3", "names a twice"),
  ],
)
def test_what_is_wrong_is_named(path, message):
  with pytest.raises(ConfigError, match=rf"^config.data.path.*{message}"):
    Learnable(path=path)


def test_evaluations_take_one_dataset():
  assert Learnable(path="a:0.7,b:0.3").path == "a:0.7,b:0.3"
  with pytest.raises(ConfigError, match="name one dataset to evaluate on"):
    Dataset(path="a:0.7,b:0.3")


@given(
  st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6), st.integers(0, 500)
)
def test_shares_are_those_of_the_weights(weights, more):
  size = len(weights) + more
  counts = mixtures.shares(size, weights)
  assert sum(counts) == size
  assert min(counts) >= 1
  exact = np.array(weights) / np.sum(weights) * size
  if exact.min() >= 1:
    np.testing.assert_array_less(np.abs(counts - exact), 1 + 1e-9)
    # Rounded by largest remainder: which ones are rounded up is in order.
    up = counts > np.floor(exact)
    rest = exact - np.floor(exact)
    if up.any() and not up.all():
      assert rest[up].min() >= rest[~up].max() - 1e-9


def test_a_batch_that_is_smaller_than_the_mixture():
  with pytest.raises(ConfigError, match="batch_size=1 is too small for the 2 "):
    mixtures.shares(1, [1, 1])


def test_what_datasets_hold_together():
  first = index("a", 10, labels={"x": ["p", "q"], "y": ["r"]}, groups=3)
  second = index("b", 5, labels={"x": ["p", "q"], "y": ["s"]}, num_frames=None)
  joined = mixtures.join(PARTS, [first, second])
  assert joined.split("train").tolist() == [*range(8), 10, 11, 12]
  assert joined.split("test").tolist() == [8, 9, 13, 14]
  assert (joined.num_videos, joined.num_frames) == (15, None)
  assert joined.labels == {"x": ["p", "q"]}
  assert mixtures.indices(joined) == [first, second]
  pools = mixtures.pools(joined, joined.split("train"))
  assert [(p.name, p.weight) for p in pools] == PARTS
  assert [p.records.tolist() for p in pools] == [[*range(8)], [10, 11, 12]]
  said = mixtures.describe(joined, 10)
  assert said == "each batch of 10 videos has 7 of a, 3 of b"
  assert mixtures.describe(first, 10) == ""


def test_the_fingerprint_is_that_of_the_content():
  indices = [index("a", 10), index("b", 5)]
  first = mixtures.join(PARTS, indices).fingerprint
  moved = mixtures.parse("elsewhere/a:0.7,gs://b/b:0.3")
  assert mixtures.join(moved, indices).fingerprint == first
  assert mixtures.join(mixtures.parse("a:1,b:1"), indices).fingerprint != first
  assert mixtures.join(PARTS, indices[::-1]).fingerprint != first


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"short_side": 64}, "short side of 40 pixels, and those of b one of 64"),
    ({"fingerprint": "a"}, "a and b hold the same dataset"),
  ],
)
def test_datasets_that_do_not_mix(changes, message):
  with pytest.raises(ConfigError, match=message):
    mixtures.join(PARTS, [index("a", 10), index("b", 5, **changes)])


def test_videos_are_those_of_the_datasets(prepared, write_video, tmp_path):
  """A prepared dataset and a folder of files."""
  for name in ("x.mp4", "y.mp4"):
    write_video(tmp_path / "files" / name, height=40, width=60)
  path = f"{prepared}:1,{tmp_path / 'files'}:1"
  mixed = sources.open(path, 40)
  first, second = sources.open(prepared), sources.open(tmp_path / "files", 40)
  assert len(mixed) == len(first) + len(second) == 32
  ids = [mixed[i].id for i in range(32)]
  assert ids == [s[i].id for s in (first, second) for i in range(len(s))]
  assert sources.read_index(path, 40) == mixed.index
  with pytest.raises(IndexError, match="no video 32 among 32"):
    mixed[32]
  assert len(sources.sample(path, 8, 40)) == 4 + 2
