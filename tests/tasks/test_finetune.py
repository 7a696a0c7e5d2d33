"""A whole fine-tuning and its dense test, over three folds."""

import json
import shutil

import jax
import numpy as np
import pytest

from hdc_jax.augment import geometry
from hdc_jax.checkpoints import saving
from hdc_jax.data import sources
from hdc_jax.data.video.frames import Window
from hdc_jax.distributed import mesh
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import pretrained
from hdc_jax.evaluate.evaluation import Evaluation
from hdc_jax.tasks import finetune
from hdc_jax.train import loop
from tests import layouts, small

pytestmark = pytest.mark.usefixtures("one_device")

TRIALS = ["class-split1", "class-split2", "class-split3"]


def config(**changes):
  dense = {"test__clips": 0, "test__crops": "five", "optim__lr": 0.05}
  return small.tiny("finetune", **{"seed": 3} | dense | changes)


@pytest.fixture(scope="module")
def run(one_device, classifiers, ucf101, pretrained_run, tmp_path_factory):
  """Directory, config and result of a run over three folds."""
  workdir = tmp_path_factory.mktemp("finetune")
  made = config(data__path=ucf101, checkpoint=pretrained_run)
  return workdir, made, finetune.run(made, str(workdir))


@pytest.fixture
def written(run):
  """When the files of the run that must stay as they are were written."""

  def times(trials):
    files = ("result.json", "train.json", "metrics.jsonl", "predictions.npz")
    return [
      (run[0] / trial / file).stat().st_mtime_ns
      for trial in trials
      for file in files
    ]

  return times


def restored(workdir, training):
  with saving.Checkpoints(workdir) as saved:
    return training.restore_state(saved, saved.steps[-1]).state


def read(path):
  with np.load(path) as archive:
    return dict(archive)


@pytest.mark.slow
def test_a_row_for_each_fold_and_their_mean(run):
  workdir, _, result = run
  *trials, mean = result["rows"]
  assert [row["name"] for row in trials] == TRIALS
  assert [row["split"] for row in trials] == ["1", "2", "3"]
  for column in ("top1", "top5"):
    assert mean[column] == np.mean([row[column] for row in trials])
    assert result[column] == mean[column]
  assert mean["name"] == "class-mean" and "top1_ci95" not in mean
  assert json.loads((workdir / "result.json").read_text()) == result


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_predictions_are_of_every_test_video(run, fold):
  """Once each, with its label; and they are what the rows count."""
  workdir, made, result = run
  found = read(workdir / TRIALS[fold - 1] / "predictions.npz")
  source = sources.open(made.data.path)
  numbers = source.index.split(f"test{fold}")
  assert found["ids"].tolist() == [source[int(n)].id for n in numbers]
  truth = [name.split("/")[0] for name in found["ids"]]
  assert found["names"][found["labels"]].tolist() == truth
  np.testing.assert_allclose(found["scores"].sum(axis=1), 1.0, rtol=1e-5)
  right = found["names"][found["scores"].argmax(axis=1)] == truth
  assert result["rows"][fold - 1]["top1"] == pytest.approx(100 * right.mean())


def test_training_begins_with_the_pretrained_backbone(
  run, classifiers, pretrained_run, one_device, tmp_path, monkeypatch
):
  """Or, without a checkpoint, with new weights; on the training videos."""
  seen = []

  def fit(run, training, cut, *, initial, **_):
    assert (run.seed, run.train.steps) == (3, 2)
    np.testing.assert_array_equal(cut.records, cut.source.index.split("train1"))
    assert cut.label == "class"
    seen.append(jax.device_get(initial()))
    raise InterruptedError

  monkeypatch.setattr(loop, "fit", fit)
  for reference in (pretrained_run, ""):
    with pytest.raises(InterruptedError):
      made = config(data__path=run[1].data.path, checkpoint=reference)
      finetune.run(made, str(tmp_path / (reference and "pretrained")))
  loaded = pretrained.load(pretrained_run, one_device).variables["params"]
  for a, b, c in zip(
    *map(jax.tree.leaves, (seen[0].params["backbone"], loaded)),
    jax.tree.leaves(seen[1].params["backbone"]),
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_the_test_is_dense(run, classifiers):
  """A video's scores, by each clip in each crop on its own."""
  workdir, made, _ = run
  training, _ = classifiers[3]
  directory = workdir / "class-split2"
  state = restored(directory, training)
  variables = {"params": state.params, "batch_stats": state.batch_stats}
  found = read(directory / "predictions.npz")
  source = sources.open(made.data.path)
  number = int(source.index.split("test2")[4])
  video = source[number]
  assert (video.num_frames, video.height) == (12, 40)
  size, right = 36, video.width - 36
  centre = right // 4 * 2
  corners = [(2, centre), (0, 0), (0, right), (4, 0), (4, right)]

  @jax.jit
  def look(y, uv):
    clip = geometry.CentreCrop(size)(jax.random.key(0), geometry.Canvas(y, uv))
    network = training.objective.network
    logits = network.apply(variables, (2 * clip - 1)[None, None])
    return jax.nn.softmax(logits)[0]

  scores = [
    look(*video.read(range(start, start + 4), Window(*c, size, size)))
    for start in (0, 4, 8)
    for c in corners
  ]
  want = np.float64(scores).mean(axis=0)
  assert np.std(scores, axis=0).max() > 1e-3
  np.testing.assert_allclose(found["scores"][4], want, rtol=1e-4)


def test_what_a_run_leaves(run):
  workdir, _, _ = run
  page = (workdir / "report.html").read_text()
  for trial in TRIALS:
    assert (workdir / trial / "saliency.png").stat().st_size > 1000
    (board,) = (workdir / trial / "tensorboard").iterdir()
    for shown in (b"test/top1", b"report/Confusion by ", b"Saliency"):
      assert shown in board.read_bytes()
    assert (workdir / trial / "metrics.jsonl").exists()
    assert f"Saliency · {trial}" in page
  saved = json.loads((workdir / TRIALS[1] / "config.json").read_text())
  assert saved["data"]["split"] == "train2"
  assert saved["test"]["split"] == "test2"


def fail(*_, **__):
  raise AssertionError("this was done already")


def test_a_finished_run_does_nothing(run, written, monkeypatch):
  workdir, made, result = run
  before = written(TRIALS)
  monkeypatch.setattr(loop, "fit", fail)
  monkeypatch.setattr(Evaluation, "encode", fail)
  assert finetune.run(made, str(workdir)) == result
  assert written(TRIALS) == before


def test_only_the_trial_without_result_is_tested_again(
  run, written, monkeypatch
):
  workdir, made, result = run
  before = written([TRIALS[0], TRIALS[2]])
  trained = (workdir / TRIALS[1] / "metrics.jsonl").read_bytes()
  (workdir / TRIALS[1] / "result.json").unlink()
  titles, encode = [], Evaluation.encode

  def spy(*args, title, **kwargs):
    titles.append(title)
    return encode(*args, title=title, **kwargs)

  monkeypatch.setattr(Evaluation, "encode", spy)
  monkeypatch.setattr(loop, "_train", fail)
  assert finetune.run(made, str(workdir)) == result
  assert titles == ["test of class-split2"]
  assert written([TRIALS[0], TRIALS[2]]) == before
  assert (workdir / TRIALS[1] / "metrics.jsonl").read_bytes() == trained


def test_weights_of_a_later_step_are_not_mixed_in(run, ucf101, tmp_path):
  """A trial's weights come from the step that its result names."""
  later = tmp_path / "pretrained"
  shutil.copytree(run[1].checkpoint, later)
  made = config(data__path=ucf101, checkpoint=str(later), data__folds=(1,))
  finetune.run(made, str(tmp_path / "run"))
  (later / "checkpoints" / "0").rename(later / "checkpoints" / "5")
  with pytest.raises(ConfigError, match=r"checkpoint is .*checkpoints/5"):
    finetune.run(made, str(tmp_path / "run"))


@pytest.mark.slow
def test_from_scratch(run, ucf101, tmp_path):
  """Without a checkpoint: another network."""
  workdir, _, _ = run
  result = finetune.run(
    config(data__path=ucf101, data__folds=(1,)), str(tmp_path)
  )
  assert [row["name"] for row in result["rows"]] == ["class-split1"]
  assert result["checkpoint"] == ""
  one, other = (
    read(w / "class-split1" / "predictions.npz") for w in (workdir, tmp_path)
  )
  np.testing.assert_array_equal(one["ids"], other["ids"])
  assert not np.allclose(one["scores"], other["scores"], rtol=1e-3)


@pytest.mark.parametrize(
  ("field", "value", "error", "message"),
  [
    ("train__steps", 0, ConfigError, "config.train.steps=0 must be at least 1"),
    ("data__path", "", ConfigError, "config.data.path is not set"),
    ("data__batch_size", 12, ConfigError, "config.data.batch_size=12 does not"),
    ("test__batch_size", 9, ConfigError, "config.test.batch_size=9 does not"),
    ("data__canvas", 41, ConfigError, "data.canvas=41 must be a multiple of 2"),
    ("test__size", 42, ConfigError, "config.test.size=42 must be"),
    ("test__crops", "four", ConfigError, "one of centre, three, five"),
    ("data__labels", ("kind",), ConfigError, "config.data.labels: 'kind'"),
    ("checkpoint", "/nowhere", DataError, "not the directory of a run"),
    ("model__width", 4, ConfigError, "config.model.width is 4, but the run in"),
    ("model__size", 44, ConfigError, "config.model.size=44 must be from 1 to"),
    ("finetune__dropout", 1.0, ConfigError, "dropout=1.0 must be below 1"),
  ],
)
def test_bad_configs(
  ucf101, pretrained_run, tmp_path, monkeypatch, field, value, error, message
):
  eight = jax.make_mesh((8,), ("data",))
  monkeypatch.setattr(mesh, "make_mesh", lambda: eight)
  fields = {"data__path": ucf101, "checkpoint": pretrained_run}
  with pytest.raises(error, match=message):
    finetune.run(config(**fields | {field: value}), str(tmp_path))


def test_a_test_without_labels_is_named(
  pretrained_run, classifiers, tmp_path, monkeypatch
):
  """Before any training."""
  monkeypatch.setattr(loop, "fit", fail)
  made = layouts.kinetics(tmp_path / "k400")
  path = layouts.prepare("kinetics400", made, tmp_path / "data")
  message = r"test/\S+: has no label 'class', .* choose another split"
  with pytest.raises(DataError, match=message):
    finetune.run(
      config(data__path=path, checkpoint=pretrained_run), str(tmp_path / "run")
    )
