"""A whole run: resumed byte for byte, never recompiled, stopped in order."""

import dataclasses
import json
import logging
import shutil
import signal
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax.checkpoints import finding, saving
from hdc_jax.data.clips import loader
from hdc_jax.errors import (
  Collapsed,
  ConfigError,
  DataError,
  Preempted,
)
from hdc_jax.runs import metrics, results
from hdc_jax.tasks import pretrain
from hdc_jax.train.step import TrainState
from tests import small

pytestmark = pytest.mark.usefixtures("one_device")

MAKE_TRAINING = pretrain.Learning.make_training  # which fixtures replace


def use(patch, training):
  """Lets runs take a training that is compiled already."""
  patch.setattr(pretrain.Learning, "make_training", lambda *_: training)


@pytest.fixture(scope="module")
def compiled(one_device):
  """One training for all runs of this module, so that it compiles once."""
  training = MAKE_TRAINING(small.options(), one_device)
  with pytest.MonkeyPatch.context() as patch:
    use(patch, training)
    yield training


@pytest.fixture(scope="module")
def whole(compiled, prepared, tmp_path_factory):
  """A run of 20 steps, and the ids of its batches."""
  workdir = tmp_path_factory.mktemp("whole")
  with recorded_ids() as ids:
    pretrain.run(small.config(data__path=prepared), str(workdir))
  return workdir, ids


class recorded_ids:
  """Collects the ids that the loop logs at debug level."""

  def __enter__(self):
    self.ids = []
    self.handler = logging.Handler()
    self.handler.emit = lambda record: self.ids.append(record.getMessage())
    logger = logging.getLogger(loader.__name__)
    self.level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(self.handler)
    return self.ids

  def __exit__(self, *_):
    logger = logging.getLogger(loader.__name__)
    logger.removeHandler(self.handler)
    logger.setLevel(self.level)


def saved_state(workdir, training):
  with saving.Checkpoints(workdir) as saved:
    return jax.device_get(training.restore_state(saved, saved.steps[-1]))


@pytest.mark.slow
def test_resuming_is_byte_for_byte(whole, compiled, prepared, tmp_path):
  """20 steps = 10 + restart + 10: params, optimizer, data, augmentations."""
  config = small.config(data__path=prepared, train__steps=10)
  with recorded_ids() as ids:
    pretrain.run(config, str(tmp_path))
    config.train.steps = 20
    pretrain.run(config, str(tmp_path))
  workdir, whole_ids = whole
  assert ids == whole_ids
  assert len(ids) == 20
  got, want = (saved_state(w, compiled) for w in (tmp_path, workdir))
  assert got.data == want.data
  for one, other in zip(
    jax.tree.leaves(got.state), jax.tree.leaves(want.state), strict=True
  ):
    assert one.tobytes() == other.tobytes()
  first, second = (metrics.read_metrics(w) for w in (tmp_path, workdir))
  speeds = ("clips_per_second", "data_wait")
  for line in (*first, *second):
    for name in speeds:
      line.pop(name)
  assert first == second
  assert [line["step"] for line in first] == [5, 10, 15, 20]


RUNS = {
  **small.METHODS,
  "microbatches": {
    "method__blocks": (5,),
    "method__weights": (1.0,),
    "train__microbatches": 2,
  },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_every_method_resumes(name, request, one_device, prepared, tmp_path):
  """4 steps = 2 + restart + 2, running means of batch norm included."""
  if name != "cvrl":  # which has the running means of its backbone
    request.getfixturevalue("quick_backbones")
  config = small.config(**RUNS[name], data__path=prepared, train__steps=4)
  training = MAKE_TRAINING(small.resolve(config), one_device)
  with pytest.MonkeyPatch.context() as patch:
    use(patch, training)
    pretrain.run(config, str(tmp_path / "whole"))
    config.train.steps = 2
    pretrain.run(config, str(tmp_path / "parts"))
    config.train.steps = 4
    pretrain.run(config, str(tmp_path / "parts"))
  whole, parts = (
    saved_state(tmp_path / place, training) for place in ("whole", "parts")
  )
  for one, other in zip(
    jax.tree.leaves(whole.state), jax.tree.leaves(parts.state), strict=True
  ):
    assert one.tobytes() == other.tobytes()
  assert training.train_step._cache_size() == 1  # compiled once for all three
  has_means = bool(jax.tree.leaves(whole.state.batch_stats))
  assert has_means == (config.model.norm == "batch")


def test_no_recompilation(whole, compiled):
  assert compiled.train_step._cache_size() == 1


def test_what_a_run_leaves(whole):
  workdir, _ = whole
  result = json.loads((workdir / "result.json").read_text())
  assert result["steps"] == 20
  assert result["clips_per_second"] > 0
  assert result["health"] in ("ok", "collapsing", "not learning")
  spent = result["goodput"]["seconds"]
  assert result["goodput"]["starts"] == 1
  assert 0 < spent["step"] < sum(spent.values())
  assert min(spent[cause] for cause in ("start", "compile", "checkpoint")) > 0
  assert spent["repeated"] == spent["down"] == 0
  lines = metrics.read_metrics(workdir)
  assert all(np.isfinite(line["health/rank/o_spatial5"]) for line in lines)
  assert "cpu" in result["device"]
  assert result["versions"]["jax"] == jax.__version__
  config = json.loads((workdir / "config.json").read_text())
  assert config["method"]["name"] == "hdc"
  assert (workdir / "report.html").stat().st_size > 10_000
  assert list((workdir / "tensorboard").iterdir())
  assert sorted(p.name for p in (workdir / "checkpoints").iterdir()) == [
    "10",
    "20",
  ]


def test_rerunning_a_finished_run_does_nothing(whole, compiled, prepared):
  workdir, _ = whole
  before = (workdir / "metrics.jsonl").read_bytes()
  result = pretrain.run(small.config(data__path=prepared), str(workdir))
  assert result["steps"] == 20
  assert (workdir / "metrics.jsonl").read_bytes() == before


def test_a_result_that_was_not_written_is_written_by_a_rerun(
  whole, compiled, prepared, tmp_path
):
  """A run that was killed between its last save and its result."""
  shutil.copytree(whole[0], tmp_path / "run")
  before = results.read_result(whole[0])
  (tmp_path / "run" / results.RESULT).unlink()
  config = small.config(data__path=prepared)
  after = pretrain.run(config, str(tmp_path / "run"))
  assert before["health"]
  lost = ("clips_per_second", "data_wait", "goodput")
  assert after == {k: v for k, v in before.items() if k not in lost}
  assert results.read_result(tmp_path / "run") == after


def test_metrics_of_steps_to_be_repeated_are_dropped(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    for step in (5, 10, 15):
      writer.write(step, {"loss": float(step)})
  with (tmp_path / "metrics.jsonl").open("a") as file:
    file.write('{"step": 20, "lo')  # cut short by a crash
  with metrics.MetricsWriter(tmp_path, 10) as writer:
    writer.write(15, {"loss": 1.0})
  steps = [line["step"] for line in metrics.read_metrics(tmp_path)]
  assert steps == [5, 10, 15]


def test_changed_config_is_refused(whole, compiled, prepared):
  workdir, _ = whole
  config = small.config(data__path=prepared, optim__lr=0.2)
  with pytest.raises(ConfigError, match=r"config\.optim\.lr is 0\.2, but"):
    pretrain.run(config, str(workdir))


def test_another_dataset_is_refused(whole, compiled, prepared, monkeypatch):
  workdir, _ = whole
  real = loader.check_data_state
  monkeypatch.setattr(
    loader,
    "check_data_state",
    lambda source, state: real(source, state | {"fingerprint": "other"}),
  )
  with pytest.raises(DataError, match="another dataset"):
    pretrain.run(small.config(data__path=prepared), str(workdir))


def test_a_signal_saves_and_stops(compiled, prepared, tmp_path, monkeypatch):
  config = small.config(data__path=prepared, train__checkpoint_every=1000)
  count = iter(range(1000))
  step = compiled.train_step

  def interrupted(state, clips):
    if next(count) == 6:
      signal.raise_signal(signal.SIGTERM)
    return step(state, clips)

  use(monkeypatch, dataclasses.replace(compiled, train_step=interrupted))
  before = signal.getsignal(signal.SIGTERM)
  with pytest.raises(Preempted, match="stopped by SIGTERM at step 7"):
    pretrain.run(config, str(tmp_path))
  assert signal.getsignal(signal.SIGTERM) == before
  assert saved_state(tmp_path, compiled).data["step"] == 7


def test_a_collapse_stops_and_the_state_before_is_kept(
  compiled, prepared, tmp_path, monkeypatch
):
  def collapsed(pairs):
    equal = jax.tree.map(lambda x: jnp.full_like(x, x.shape[2] ** -0.5), pairs)
    return compiled.measure(equal)

  use(monkeypatch, dataclasses.replace(compiled, measure=collapsed))
  config = small.config(data__path=prepared, train__stop_on_collapse=True)
  with pytest.raises(Collapsed, match="collapsing at step 15: all embeddings"):
    pretrain.run(config, str(tmp_path))
  with saving.Checkpoints(tmp_path) as saved:
    assert saved.steps == [10]
  assert not (tmp_path / "result.json").exists()


@pytest.mark.slow
def test_a_damaged_checkpoint_costs_one_interval(
  whole, compiled, prepared, tmp_path, caplog
):
  workdir, _ = whole
  copy = tmp_path / "copy"
  subprocess.run(["cp", "-r", str(workdir), str(copy)], check=True)
  file = max(
    (p for p in (copy / "checkpoints" / "20" / "state").rglob("*")),
    key=lambda path: path.stat().st_size * path.is_file(),
  )
  content = bytearray(file.read_bytes())
  content[len(content) // 2] ^= 1
  file.write_bytes(content)
  pretrain.run(small.config(data__path=prepared), str(copy))
  assert f"{copy}/checkpoints/20 is damaged: state/" in caplog.text
  jax.tree.map(
    np.testing.assert_array_equal,
    *(saved_state(place, compiled).state for place in (workdir, copy)),
  )
  names = {path.name for path in (copy / "checkpoints").iterdir()}
  assert names == {"10", "20", "20.damaged"}


def test_a_damaged_checkpoint_is_named(whole, compiled, tmp_path):
  workdir, _ = whole
  copy = tmp_path / "copy"
  subprocess.run(["cp", "-r", str(workdir), str(copy)], check=True)
  for file in (copy / "checkpoints" / "20" / "state").rglob("*"):
    if file.is_file():
      file.write_bytes(b"")
  with (
    saving.Checkpoints(copy) as saved,
    pytest.raises(DataError, match=r"20 is damaged: state/.* has 0 of \d+ "),
  ):
    compiled.restore_state(saved, 20)


def test_a_relative_workdir(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with saving.Checkpoints("runs/here") as saved:
    state = TrainState(np.ones(2), {}, {}, {})
    saved.save(3, state, {"step": 3}, small.config().to_dict())
    saved.wait()
  assert finding.find("runs/here") == (tmp_path / "runs" / "here", 3)
  assert finding.find("runs/here/checkpoints/3")[1] == 3


@pytest.mark.parametrize("reference", ["nowhere", "run/checkpoints/7", "run"])
def test_a_missing_checkpoint_is_named(tmp_path, reference):
  (tmp_path / "run" / "checkpoints").mkdir(parents=True)
  with pytest.raises(DataError, match=reference):
    finding.find(tmp_path / reference)
