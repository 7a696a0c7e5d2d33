"""Runs with the online probe: as without it, and with a best checkpoint."""

import dataclasses
import itertools
import json
import signal

import jax
import pytest

from hdc_jax.checkpoints import finding, saving
from hdc_jax.errors import ConfigError, DataError, Preempted
from hdc_jax.evaluate.online_probe import OnlineProbe
from hdc_jax.runs import metrics
from hdc_jax.runtime import watchdog
from hdc_jax.tasks import pretrain
from hdc_jax.train import guards
from tests import small

MONITOR = "probe/motion/block5/knn"


MAKE_TRAINING = pretrain.Learning.make_training


@pytest.fixture(scope="module")
def made():
  """The training of all runs of this module, so that it compiles once."""
  return []


@pytest.fixture
def config(prepared, quick, made, monkeypatch):
  """20 steps, of which a network of a few layers is probed at every fifth."""

  def make_training(options, mesh):
    made[:] = made or [MAKE_TRAINING(options, mesh)]
    return made[0]

  monkeypatch.setattr(pretrain.Learning, "make_training", make_training)

  def make(**changes):
    defaults = {
      "data__path": prepared,
      "train__steps": 20,
      "probe__every": 5,
      "probe__videos": 4,
    }
    return small.tiny(**defaults | changes)

  return make


@pytest.fixture
def scored(monkeypatch):
  """Lets the probe measure given values instead; collects the steps."""
  steps = []

  def use(values):
    def make_probe(options, mesh, source):
      def measure(state):
        step = int(state.step)
        steps.append(step)
        return {MONITOR: values(step), "probe/motion/chance": 12.5}

      return pretrain.probing.Probing(options.probe.every, measure)

    monkeypatch.setattr(pretrain.Pretrain, "make_probe", make_probe)
    return steps

  return use


def saved_state(workdir, config):
  training = small.resolve(config).make_training(pretrain.mesh_lib.make_mesh())
  with saving.Checkpoints(workdir) as saved:
    return jax.device_get(training.restore_state(saved, saved.steps[-1]).state)


def lines_of(workdir):
  """The lines of the training without speeds, and those of the probe."""
  lines = metrics.read_metrics(workdir)
  for line in lines:
    for name in ("clips_per_second", "data_wait"):
      line.pop(name, None)
  training = [line for line in lines if "loss" in line]
  return training, [line for line in lines if "loss" not in line]


@pytest.mark.slow
def test_a_run_is_the_same_with_the_probe(config, tmp_path):
  """20 steps with probes = 20 without, byte for byte; resumed too."""
  parts = config(train__steps=10)
  pretrain.run(parts, str(tmp_path / "probed"))
  probed = config()
  pretrain.run(probed, str(tmp_path / "probed"))
  plain = small.tiny(data__path=probed.data.path, train__steps=20)
  pretrain.run(plain, str(tmp_path / "plain"))
  states = [saved_state(tmp_path / name, plain) for name in ("probed", "plain")]
  for one, other in zip(*map(jax.tree.leaves, states), strict=True):
    assert one.tobytes() == other.tobytes()
  losses, measured = lines_of(tmp_path / "probed")
  assert losses == lines_of(tmp_path / "plain")[0]
  # The untrained network comes first, and no step is there twice.
  assert [line["step"] for line in measured] == [0, 5, 10, 15, 20]
  names = {
    f"probe/{label}/block{n}/{classifier}"
    for label in ("motion", "scene")
    for n in range(1, 6)
    for classifier in ("knn", "ridge")
  }
  chance = {"probe/motion/chance", "probe/scene/chance"}
  for line in measured:
    assert set(line) == names | chance | {"step"}
    assert all(0 <= line[name] <= 100 for name in names | chance)


def test_a_signal_while_the_network_is_probed(config, tmp_path, monkeypatch):
  """The probe ends, and the state of its step is saved."""
  measure = OnlineProbe.measure
  count = iter(range(100))

  def interrupted(probe, variables):
    if next(count) == 1:
      signal.raise_signal(signal.SIGTERM)
    return measure(probe, variables)

  monkeypatch.setattr(OnlineProbe, "measure", interrupted)
  with pytest.raises(Preempted, match="stopped by SIGTERM at step 5, which is"):
    pretrain.run(config(), str(tmp_path))
  with saving.Checkpoints(tmp_path) as saved:
    assert saved.steps == [5]
  assert [line["step"] for line in lines_of(tmp_path)[1]] == [0, 5]


def test_a_step_left_unmeasured(config, scored, tmp_path, monkeypatch):
  """By a signal: it is measured when the run goes on."""
  steps = scored(float)
  reached, calls = guards.StopSignal.reached, itertools.count(1)

  def stop_at_5(stop):
    stop.received = "SIGTERM" if next(calls) == 5 else None
    return reached(stop)

  with monkeypatch.context() as patch:
    patch.setattr(guards.StopSignal, "reached", stop_at_5)
    with pytest.raises(Preempted):
      pretrain.run(config(), str(tmp_path))
  assert steps == [0]
  pretrain.run(config(train__steps=12), str(tmp_path))
  assert steps == [0, 5, 10, 12]
  assert [line["step"] for line in lines_of(tmp_path)[1]] == steps


def test_the_best_checkpoint_is_kept(config, scored, tmp_path):
  """Besides the newest, over restarts, and only if it beats all before it."""
  values = {0: 99.0, 2: 10.0, 4: 30.0, 6: 30.0, 8: 20.0, 10: 5.0, 12: 29.0}
  scored(values.__getitem__)
  changes = {"probe__every": 2, "train__keep_best": MONITOR}
  changes |= {"train__checkpoint_every": 5, "train__keep_checkpoints": 1}
  expected = {6: [4, 6], 10: [4, 10], 12: [4, 12]}
  for steps, kept in expected.items():
    run = config(train__steps=steps, **changes)
    result = pretrain.run(run, str(tmp_path))
    with saving.Checkpoints(tmp_path) as saved:
      assert saved.steps == kept
    assert result["best"] == {"step": 4, "monitor": MONITOR, "value": 30.0}
  best = finding.find(tmp_path / "checkpoints" / "best")
  assert best == (tmp_path, 4)
  assert finding.find(tmp_path) == (tmp_path, 12)
  # The untrained network, however good, is not the best of the training.
  assert 0 not in {step for kept in expected.values() for step in kept}
  assert json.loads((tmp_path / "result.json").read_text())["best"]["step"] == 4


def test_a_run_without_a_best_checkpoint(config, scored, tmp_path):
  scored(float)
  result = pretrain.run(config(train__steps=2), str(tmp_path))
  assert "best" not in result
  with pytest.raises(
    DataError, match=r"checkpoints/best: no checkpoint of the"
  ):
    finding.find(tmp_path / "checkpoints" / "best")


def test_the_speed_does_not_count_it(config, scored, tmp_path, monkeypatch):
  """Nor does the watchdog: its clock begins anew before and after it."""
  begun, paused = [], []
  scored(lambda step: paused.append(len(begun)) or 1.0)
  monkeypatch.setattr(watchdog, "progressed", lambda: begun.append(1))
  pauses = []
  monkeypatch.setattr(metrics.Meter, "pause", lambda _: pauses.append(1))
  pretrain.run(config(train__steps=4, probe__every=2), str(tmp_path))
  assert len(pauses) == len(paused) == 3
  assert 0 < paused[0] < paused[1] < paused[2] < len(begun)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"train__keep_best": "probe/kind/block5/knn"}, "config.train.keep_best: "),
    ({"probe__test_split": "val"}, "config.probe.test_split: "),
    ({"probe__labels": ("kind",)}, "config.probe.labels: 'kind' is not one"),
  ],
)
def test_the_dataset_is_checked_before_the_first_step(
  config, changes, message, tmp_path
):
  """In a run; `--dry_run` and `--preflight` call `check_dataset` too."""
  options = small.resolve(config(**changes))
  index = pretrain.sources.read_index(options.dataset.path, 40)
  with pytest.raises(ConfigError, match=message):
    options.check_dataset(index)
  with pytest.raises(ConfigError, match=message):
    pretrain.run(config(**changes), str(tmp_path))
  assert not (tmp_path / "checkpoints").exists()


def test_videos_without_the_probe_are_an_option_without_effect(config):
  with pytest.raises(
    ConfigError, match=r"only with config\.probe\.every at least"
  ):
    pretrain.TASK.schema.check_field(
      ("probe", "videos"), config(probe__every=0, probe__videos=5).to_dict()
    )


def test_a_config_without_the_probe_has_the_fingerprint_of_before(config):
  made = small.tiny()
  values = made.to_dict()
  assert values["probe"] == {"every": 0}
  with_section = pretrain.TASK.run_config(values)
  del values["probe"], values["train"]["keep_best"]
  fields = dataclasses.replace(with_section, values=values)
  assert with_section.fingerprint == fields.fingerprint
