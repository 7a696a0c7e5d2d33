"""Outputs of networks: pooled, averaged, and the same however computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax.data import sources
from hdc_jax.data.clips.placement import RandomPlacement, make_placement
from hdc_jax.data.labels.segments import segments_of
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import features, pretrained
from hdc_jax.evaluate.evaluation import Evaluation
from hdc_jax.methods import augmentations
from tests import small

OPTIONS = small.options(task="retrieve", features__pool="average")
SIZE = OPTIONS.model.size


def reference_cells(x):
  """Maxima of 2×2 in each frame, flattened."""
  b, t, h, w, _ = x.shape
  return np.array(
    [
      [
        x[n, s, i : i + 2, j : j + 2].max((0, 1))
        for s in range(t)
        for i in range(0, h - 1, 2)
        for j in range(0, w - 1, 2)
      ]
      for n in range(b)
    ]
  ).reshape(b, -1)


POOLS = {
  "average": lambda x: x.mean((1, 2, 3)),
  "max": lambda x: x.max((1, 2, 3)),
  "cells": reference_cells,
}


@pytest.mark.parametrize("how", POOLS)
def test_pool(how):
  x = np.random.default_rng(0).standard_normal((2, 3, 5, 4, 2))
  got = features.pool(jnp.float32(x), how)
  np.testing.assert_allclose(got, POOLS[how](x), rtol=1e-5)
  assert features.pool(jnp.ones((1, 1, 1, 1, 3)), how).shape == (1, 3)


def test_unknown_pools_are_named():
  with pytest.raises(ConfigError, match=r"features\.pool: .* max, cells"):
    features.Features(pool="mean")


@pytest.fixture(scope="module")
def source(prepared):
  return sources.open(prepared)


@pytest.fixture(scope="module")
def weights():
  """Initial weights of the small backbone, on the host."""
  mesh = mesh_lib.make_mesh()
  return jax.device_get(pretrained.initial(OPTIONS.model, 0, mesh))


def encode(source, weights, batch_size=8, devices=8, view=None, **options):
  """Average features of the test videos by scene."""
  mesh = mesh_lib.make_mesh(devices)
  placement = make_placement(
    OPTIONS.clips, OPTIONS.shown, SIZE, source.index.short_side
  )
  evaluation = Evaluation(
    mesh, source, placement, OPTIONS.loading, batch_size, SIZE
  )
  describe = features.make_describe(OPTIONS.model, OPTIONS.features)
  encoder = features.make_encoder(
    lambda *arguments: {"features": describe(*arguments)},
    view or features.centre_view(SIZE),
    mesh,
  )
  return evaluation.encode(
    encoder, weights, source.index.split("test"), label="scene", **options
  )


@pytest.fixture(scope="module")
def encoded(source, weights):
  return encode(source, weights)


@pytest.mark.slow
def test_batches_and_devices_do_not_change_features(source, weights, encoded):
  assert len(encoded.segments) > 6  # more scenes than videos
  for batch_size, devices in ((1, 1), (7, 1), (64, 4)):
    got = encode(source, weights, batch_size, devices)
    assert got.segments == encoded.segments
    assert got.ids == encoded.ids
    np.testing.assert_allclose(
      got.values["features"],
      encoded.values["features"],
      rtol=1e-3,
      atol=1e-4,
    )


def test_features_are_means_over_clips(source, weights, encoded):
  clips = encode(source, weights, average=False)
  assert clips.segments == encoded.segments
  assert clips.values["features"].shape[:2] == (len(clips.segments), 2)
  np.testing.assert_allclose(
    clips.values["features"].mean(axis=1),
    encoded.values["features"],
    rtol=1e-5,
    atol=1e-6,
  )


@pytest.mark.slow
def test_what_is_random_in_a_view_does_not_depend_on_the_batch(source, weights):
  placement = RandomPlacement(8, 1, 40, clips=2, seed=0)
  view = augmentations.classification_view(augmentations.Classification(), SIZE)
  found = [
    encode(
      source,
      weights,
      batch_size,
      devices,
      view,
      placement=placement,
      average=False,
    )
    for batch_size, devices in ((8, 8), (7, 1))
  ]
  one, other = (outputs.values["features"] for outputs in found)
  np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
  assert not np.allclose(one[:, 0], one[:, 1], rtol=1e-2)


def test_segments_and_ids_are_those_of_the_dataset(source, encoded):
  want = [
    (source[int(number)].id, segment)
    for number in source.index.split("test")
    for segment in segments_of(int(number), source[int(number)], "scene")
  ]
  assert list(zip(encoded.ids, encoded.segments, strict=True)) == want


def test_broken_weights_are_named(source, weights):
  broken = jax.tree.map(lambda x: np.full_like(x, np.nan), weights)
  with pytest.raises(DataError, match=r"features: .* not finite, first for"):
    encode(source, broken)
