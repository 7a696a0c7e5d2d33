"""A whole run of linear probes, with few labels."""

import json

import jax
import numpy as np
import pytest

from hdc_jax.augment import geometry
from hdc_jax.checkpoints import saving
from hdc_jax.data import sources
from hdc_jax.data.video.frames import Window
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import evaluation, pretrained, sweeps
from hdc_jax.prepare import command as prepare
from hdc_jax.tasks import linear, probes
from tests import small

pytestmark = pytest.mark.usefixtures("one_device")

RATES = ("30", "1")
TRIALS = [f"class-split{fold}-draw{draw}" for fold in (1, 2) for draw in (0, 1)]


def config(**changes):
  few = {"subset__shots": 3, "subset__draws": 2, "data__folds": (1, 2)}
  probes = {
    "linear__rates": (30.0, 1.0),
    "linear__epochs": 4,
    "linear__warmup_epochs": 1,
    "linear__views": 3,
    "linear__held_out": 0.3,
  }
  shown = {"test__crops": "three"}
  return small.tiny("linear", **few | probes | shown | changes)


@pytest.fixture(scope="module")
def run(one_device, ucf101, pretrained_run, tmp_path_factory):
  """A run's directory, config, result, and what its sweeps took and gave."""
  workdir = tmp_path_factory.mktemp("linear")
  made = config(data__path=ucf101, checkpoint=pretrained_run)
  swept, sweep = [], sweeps.sweep

  def spy(features, labels, *args):
    swept.append((features, labels, sweep(features, labels, *args)))
    return swept[-1][-1]

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sweeps, "sweep", spy)
    result = linear.run(made, str(workdir))
  return workdir, made, result, swept


@pytest.mark.slow
def test_a_row_for_each_rate_of_each_trial(run):
  workdir, _, result, _ = run
  *rows, _ = result["rows"]
  assert [row["name"] for row in rows] == [
    f"{trial}-rate{rate}" for trial in TRIALS for rate in RATES
  ]
  assert [row["rate"] for row in rows] == [*RATES] * 4
  for row in rows:
    assert 0.0 <= row["top1"] <= row["top5"] == 100.0  # of three classes
    assert 0.0 <= row["held_out"] <= 100.0
  assert json.loads((workdir / "result.json").read_text()) == result


def test_the_rate_is_chosen_by_held_out_videos(run):
  """One for each trial, and the mean is of those."""
  *rows, mean = run[2]["rows"]
  chosen = [row for row in rows if row["chosen"]]
  assert [row["name"].rsplit("-", 1)[0] for row in chosen] == TRIALS
  for one, other in zip(rows[::2], rows[1::2], strict=True):
    best = one if one["held_out"] > other["held_out"] else other
    assert best["chosen"]
  assert any(row["chosen"] for row in rows[1::2])
  top1 = np.array([row["top1"] for row in chosen]).reshape(2, 2)  # [fold, draw]
  assert mean["name"] == "class-mean"
  assert mean["top1"] == pytest.approx(top1.mean()) == run[2]["top1"]
  # Student's t of one degree of freedom.
  half = 12.7062 * top1.mean(axis=0).std(ddof=1) / np.sqrt(2)
  assert mean["top1_ci95"] == pytest.approx(half, rel=1e-4)


def test_predictions_are_those_of_the_chosen_rate(run):
  workdir, _, result, _ = run
  for row in result["rows"][:-1]:
    if row["chosen"]:
      trial = row["name"].rsplit("-", 1)[0]
      with np.load(workdir / trial / "predictions.npz") as found:
        truth = [name.split("/")[0] for name in found["ids"]]
        assert len(set(found["ids"])) == 6
        guesses = found["names"][found["scores"].argmax(axis=1)]
      assert row["top1"] == pytest.approx(100 * np.mean(guesses == truth))


@pytest.mark.slow
def test_scores_are_means_of_probabilities(run, one_device):
  """Of a video, by each of two clips in each of three crops on its own."""
  workdir, made, _, swept = run
  source = sources.open(made.data.path)
  video = source[int(source.index.split("test2")[3])]
  loaded = pretrained.load(made.checkpoint, one_device)
  backbone = loaded.backbone.make()
  size, right = 36, video.width - 36

  @jax.jit
  def encode(y, uv):
    clip = geometry.CentreCrop(size)(jax.random.key(0), geometry.Canvas(y, uv))
    block = backbone.apply(loaded.variables, (2 * clip - 1)[None])["block5"]
    return block.mean(axis=(0, 1, 2, 3))

  found = [
    encode(*video.read(range(first, first + 4), Window(*at, size, size)))
    for first in (0, 8)
    for at in ((2, 0), (2, right // 4 * 2), (2, right))
  ]
  unit = found / np.linalg.norm(found, axis=1, keepdims=True)
  trained, best = swept[3][-1].probes, swept[3][-1].best
  logits = unit @ np.float64(trained.kernel[best]) + trained.bias[best]
  chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  with np.load(workdir / TRIALS[3] / "predictions.npz") as saved:
    assert saved["ids"][3] == video.id
    np.testing.assert_allclose(
      saved["scores"][3], chances.mean(axis=0), rtol=1e-3
    )


def test_training_videos_are_seen_from_several_views(run):
  """Each alike in all subsets that it is in, as it is encoded once."""
  workdir, *_, swept = run
  seen, drawn = [], []
  for trial, (found, labels, _) in zip(TRIALS, swept, strict=True):
    assert found.shape[:2] == (9, 3)
    assert sorted(labels) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for one, other in ((0, 1), (0, 2), (1, 2)):
      assert not np.any(np.all(found[:, one] == found[:, other], axis=-1))
    seen.append({video.tobytes() for video in found})
    saved = json.loads((workdir / trial / "train.json").read_text())
    drawn.append({video["record"] for video in saved["videos"]})
  for fold in (0, 2):  # of draws that share some videos
    both = drawn[fold] | drawn[fold + 1]
    assert len(seen[fold] | seen[fold + 1]) == len(both) < 18


@pytest.mark.slow
def test_frames_of_many_sizes(pretrained_run, write_video, tmp_path):
  """Also where the canvas is larger than all of them."""
  for i, width in enumerate((96, 128, 112, 160)):
    write_video(tmp_path / "videos" / "ab"[i % 2] / f"{i}.mp4", 6, 96, width)
  places = [f"--source={tmp_path / 'videos'}", f"--output={tmp_path / 'data'}"]
  options = ["--dataset=folder", *places, "--short_side=40", "--workers=1"]
  assert prepare.main(options) == 0
  made = config(
    checkpoint=pretrained_run,
    data__path=str(tmp_path / "data"),
    data__canvas=100,
    test__split="train",
    linear__rates=(1.0,),
    subset__shots=0,
    subset__draws=1,
  )
  (row,) = linear.run(made, str(tmp_path / "run"))["rows"]
  assert row["name"] == "class-rate1" and "held_out" not in row


@pytest.mark.parametrize(("canvas", "padded"), [(40, False), (60, True)])
def test_probes_are_trained_on_whole_frames(
  run, tmp_path, monkeypatch, canvas, padded
):
  """Where the canvas holds them, as in pretraining: short sides have 40."""
  placements = []

  def encode(*_, placement=None, **__):
    placements.append(placement)
    raise InterruptedError

  monkeypatch.setattr(evaluation.Evaluation, "encode", encode)
  _, made, *_ = run
  fields = {"data__path": made.data.path, "checkpoint": made.checkpoint}
  with pytest.raises(InterruptedError):
    linear.run(config(**fields, data__canvas=canvas), str(tmp_path))
  (placement,) = placements
  assert (placement.size, placement.padded) == (canvas, padded)


def test_a_finished_run_does_nothing(run, monkeypatch):
  workdir, made, result, _ = run
  before = (workdir / "result.json").stat().st_mtime_ns
  monkeypatch.setattr(probes, "Prober", None)
  assert linear.run(made, str(workdir)) == result
  assert (workdir / "result.json").stat().st_mtime_ns == before


def test_broken_weights_are_named(run, one_device, tmp_path):
  pretraining = small.tiny()
  training = small.resolve(pretraining).make_training(one_device)
  state = small.save_run(tmp_path, training, pretraining)
  broken = jax.tree.map(lambda x: np.full_like(x, np.nan), state.params)
  with saving.Checkpoints(tmp_path) as saved:
    state = state.replace(params=broken)
    saved.save(1, state, {"step": 1}, pretraining.to_dict())
    saved.wait()
  data = {"data__path": run[1].data.path, "data__folds": (1,)}
  message = r"features: .* not finite, first for ApplyEyeMakeup/"
  with pytest.raises(DataError, match=message):
    linear.run(config(checkpoint=str(tmp_path), **data), str(tmp_path / "run"))


@pytest.mark.parametrize(
  ("field", "value", "error", "message"),
  [
    ("data__path", "", ConfigError, "config.data.path is not set"),
    ("checkpoint", "", ConfigError, "config.checkpoint is not set"),
    ("checkpoint", "/nowhere", DataError, "not the directory of a run"),
    ("linear__views", 0, ConfigError, "linear.views=0 must be at least 1"),
    ("linear__rates", (), ConfigError, "config.linear.rates is not set"),
    (
      "linear__warmup_epochs",
      4,
      ConfigError,
      "warmup_epochs=4 must be less",
    ),
    ("linear__held_out", 0.0, ConfigError, "linear.held_out=0.0 cannot choose"),
    ("features__endpoint", "block9", ConfigError, "block1.*block5"),
    ("model__norm", "group", ConfigError, "config.model.norm is 'group', but"),
    ("data__labels", ("kind",), ConfigError, "config.data.labels: 'kind'"),
    ("data__canvas", 24, ConfigError, "config.model.size=36 must be from 1 to"),
  ],
)
def test_bad_configs(run, tmp_path, field, value, error, message):
  fields = {"data__path": run[1].data.path, "checkpoint": run[1].checkpoint}
  with pytest.raises(error, match=message):
    linear.run(config(**fields | {field: value}), str(tmp_path))
