"""Retrieval against brute force, and a whole run of the task."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax import features, retrieve
from hdc_jax.data import evaluation, sources
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.train import checkpoint, sharding, trainer
from tests import small


@pytest.mark.parametrize("block", [4, 1000])
def test_nearest_is_brute_force(monkeypatch, block):
  monkeypatch.setattr(retrieve, "_QUERY_BLOCK", block)
  rng = np.random.default_rng(0)
  queries, gallery = rng.standard_normal((2, 11, 7)).astype(np.float32)
  q_videos, g_videos = np.arange(11), np.arange(11) + 5
  want = []
  for i in range(11):
    distances = [
      1 - q @ g / np.linalg.norm(q) / np.linalg.norm(g)
      for q, g in ((np.float64(queries[i]), np.float64(g)) for g in gallery)
    ]
    order = sorted(
      range(11), key=lambda j: (q_videos[i] == g_videos[j], distances[j])
    )
    want.append(order[:4])
  got = retrieve.nearest(queries, gallery, q_videos, g_videos, 4)
  np.testing.assert_array_equal(got, want)


def test_hit_rates():
  hits = np.array([[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 0]], bool)
  assert retrieve.hit_rates(hits, (1, 2, 3, 50)) == {
    "top1": 25.0,
    "top2": 50.0,
    "top3": 75.0,
    "top50": 75.0,
  }


def parts(labels, first_video=0):
  """Features of nothing, with a part of a video of its own per label."""
  found = [
    evaluation.Part(first_video + i, 0, 1, int(label))
    for i, label in enumerate(labels)
  ]
  return features.Features(found, {})


@pytest.mark.parametrize("own", [False, True])
def test_chance_is_the_mean_of_random_retrieval(own):
  """Also where a split searches itself, without the query's own video."""
  rng = np.random.default_rng(0)
  gallery = rng.integers(3, size=12)
  queries = gallery if own else rng.integers(3, size=5)
  want = {1: [], 4: []}
  for _ in range(4000):
    for i, query in enumerate(queries):
      rest = np.delete(gallery, i) if own else gallery
      hits = rng.permutation(rest) == query
      for k, found in want.items():
        found.append(100 * hits[:k].any())
  got = retrieve.chance_rates(
    parts(queries), parts(gallery, 0 if own else 100), (1, 4)
  )
  for k, found in want.items():
    assert abs(got[f"top{k}"] - np.mean(found)) < 1.5


def test_pool():
  """Maxima of 2×2 in each frame, flattened; a side of 1 stays."""
  x = np.random.default_rng(0).standard_normal((2, 3, 5, 4, 2))
  want = np.array(
    [
      [
        [
          x[b, t, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((0, 1))
          for j in (0, 1)
        ]
        for t in range(3)
        for i in (0, 1)
      ]
      for b in range(2)
    ]
  )
  np.testing.assert_allclose(
    features.pool(jnp.float32(x)), want.reshape(2, -1), rtol=1e-6
  )
  assert features.pool(jnp.ones((1, 1, 1, 1, 3))).shape == (1, 3)


def test_parts_of_a_video(prepared):
  video = sources.open(prepared)[0]
  (whole,) = evaluation.parts_of(0, video, "motion")
  assert (whole.first, whole.stop) == (0, video.num_frames)
  parts = evaluation.parts_of(0, video, "scene")
  assert parts[0].first == 0
  assert parts[-1].stop == video.num_frames
  assert all(a.stop == b.first for a, b in itertools.pairwise(parts))
  for part in parts:
    assert video.label("scene", part.first) == part.label
    assert video.label("scene", part.stop - 1) == part.label
  with pytest.raises(DataError, match=r"'speed'.*motion, scene"):
    evaluation.parts_of(0, video, "speed")


@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
def test_rebatch_keeps_every_clip_once(batch_size):
  items = [{"y": np.arange(a, b)} for a, b in ((0, 5), (5, 6), (6, 17))]
  batches = list(evaluation.rebatch(iter(items), batch_size))
  assert all(len(batch["y"]) == batch_size for batch, _ in batches)
  real = [batch["y"][:count] for batch, count in batches]
  assert np.concatenate(real).tolist() == list(range(17))


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
  """A run of no steps: a checkpoint of initial weights, and its config."""
  workdir = tmp_path_factory.mktemp("run")
  config = small.config(data__path=prepared, checkpoint=str(workdir))
  made = trainer.make_trainer(config, sharding.make_mesh())
  with checkpoint.Checkpoints(workdir) as saved:
    state = made.init_state()
    # Weights that differ from the untrained ones.
    state = state.replace(
      params=jax.tree.map(lambda p: p + 0.05 * jnp.cos(7 * p), state.params)
    )
    saved.save(0, state, {"step": 0}, config)
    saved.wait()
  return config


def test_the_task(run, tmp_path, capsys):
  result = retrieve.run(run, str(tmp_path))
  names = [row["name"] for row in result["rows"]]
  assert names == [
    f"{label}/{network}"
    for label in ("motion", "scene")
    for network in ("trained", "untrained", "chance")
  ]
  for row in result["rows"]:
    assert 0.0 <= row["top1"] <= row["top5"] <= 100.0
  assert json.loads((tmp_path / "result.json").read_text()) == result
  printed = capsys.readouterr().out
  assert f"{result['rows'][0]['top1']:.1f}" in printed
  page = (tmp_path / "report.html").read_text()
  assert page.count("data:image/png;base64,") == 2

  # Again: nothing is computed.
  before = (tmp_path / "result.json").stat().st_mtime_ns
  assert retrieve.run(run, str(tmp_path)) == result
  assert (tmp_path / "result.json").stat().st_mtime_ns == before


def test_batches_and_devices_do_not_change_features(run, prepared):
  source = sources.open(prepared)
  backbone, weights = retrieve.load_weights(
    run, sharding.make_mesh(), *checkpoint.find(run.checkpoint)
  )

  def extract(batch_size, devices):
    config = run.copy_and_resolve_references()
    config.retrieve.batch_size = batch_size
    encode = features.make_encoder(
      backbone, config, sharding.make_mesh(devices)
    )
    return features.extract(
      encode,
      jax.device_get(weights),
      source,
      config,
      split="test",
      label="scene",
    )

  want = extract(8, 8)
  assert len(want.parts) > 6  # more scenes than videos
  for batch_size, devices in ((7, 1), (64, 4)):
    got = extract(batch_size, devices)
    assert got.parts == want.parts
    for name in want.vectors:
      np.testing.assert_allclose(
        got.vectors[name], want.vectors[name], rtol=1e-3, atol=1e-4
      )


@pytest.mark.parametrize(
  ("field", "value", "error", "message"),
  [
    ("checkpoint", "", ConfigError, "config.checkpoint is not set"),
    ("checkpoint", "/nowhere", DataError, "not the directory of a run"),
    ("retrieve__label", ("speed",), ConfigError, "one of motion, scene"),
    ("retrieve__query", "val", ConfigError, "it has test, train"),
    ("retrieve__batch_size", 9, ConfigError, "retrieve.batch_size=9"),
    ("model__width", 8, ConfigError, "config.model.width is 8"),
    ("retrieve__endpoint", "block9", ConfigError, "block1.*block5"),
  ],
)
def test_bad_configs(run, tmp_path, field, value, error, message):
  fields = {"data__path": run.data.path, "checkpoint": run.checkpoint}
  config = small.config(**fields | {field: value})
  with pytest.raises(error, match=message):
    retrieve.run(config, str(tmp_path))
