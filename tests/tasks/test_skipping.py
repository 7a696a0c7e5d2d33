"""Runs with steps that are not finite: what is saved, and how they go on."""

import json
import logging
import shutil

import jax
import numpy as np
import pytest

from hdc_jax.checkpoints import saving
from hdc_jax.errors import ConfigError, NonFiniteError
from hdc_jax.runs import metrics, results
from hdc_jax.tasks import pretrain
from tests import small
from tests.train import stepping

pytestmark = pytest.mark.slow

# The steps whose views have a NaN.
BAD = (3, *range(11, 16))

MAKE_TRAINING = pretrain.Learning.make_training


@pytest.fixture(scope="module")
def made():
  """The training of each learning rate, so that it compiles once."""
  return {}


@pytest.fixture
def config(prepared, quick, made, monkeypatch):
  """Runs of so many steps, which save every fourth."""

  def make_training(options, mesh):
    rate = options.optim.lr
    made[rate] = made.get(rate) or stepping.poisoned(
      MAKE_TRAINING(options, mesh), BAD
    )
    return made[rate]

  monkeypatch.setattr(pretrain.Learning, "make_training", make_training)

  def make(**changes):
    defaults = {
      "data__path": prepared,
      "train__steps": 8,
      "train__log_every": 2,
      "train__checkpoint_every": 4,
    }
    return small.tiny(**defaults | changes)

  return make


def restored(workdir, made, step):
  """The state and the data in a checkpoint."""
  with saving.Checkpoints(workdir) as saved:
    return jax.device_get(made[0.1].restore_state(saved, step))


def lines_of(workdir):
  """The lines of the metrics without speeds."""
  lines = metrics.read_metrics(workdir)
  speeds = ("clips_per_second", "data_wait")
  return [{k: x for k, x in m.items() if k not in speeds} for m in lines]


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """Directory of a run, which the tests of this file continue in turn."""
  return tmp_path_factory.mktemp("skipping") / "run"


def test_a_run_goes_on_without_the_update(
  config, made, workdir, tmp_path, caplog
):
  """As if the batch was passed over: state and metrics, bit for bit."""
  pretrain.run(config(train__steps=4), str(workdir))
  result = pretrain.run(config(), str(workdir))
  (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
  text = warning.getMessage()
  assert text.startswith("step 3 is skipped, as its loss is nan; its videos: ")
  assert len(text.split(": ")[1].split(", ")) == 8
  assert result["skipped"] == 1
  passed = config(train__skip_steps="3")
  pretrain.run(passed, str(tmp_path))
  one, other = (restored(w, made, 8).state for w in (workdir, tmp_path))
  jax.tree.map(np.testing.assert_array_equal, one, other)
  lines = lines_of(workdir)
  assert lines == lines_of(tmp_path)
  assert [line["step"] for line in lines] == [2, 4, 6, 8]
  assert [line.get("skipped") for line in lines] == [None, 1, None, None]


def test_too_many_in_a_row_end_it_and_nothing_bad_is_saved(
  config, made, workdir
):
  bad = config(train__steps=20, train__max_skipped=3)
  message = r"loss is nan at step 14, and 4 steps in a row .*skip_steps=11:14$"
  with pytest.raises(NonFiniteError, match=message):
    pretrain.run(bad, str(workdir))
  with saving.Checkpoints(workdir) as saved:
    assert saved.steps == [8, 12]
  found = restored(workdir, made, 12)
  assert found.data["skipped"] == {"total": 3, "in_a_row": 2}
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(found.state))
  # The row goes on where it was: one more is the third, two are too many.
  with pytest.raises(NonFiniteError, match="at step 14, and 4 steps in a row"):
    pretrain.run(bad, str(workdir))


def test_their_batches_can_be_passed_over(config, workdir):
  """Those of steps that are saved cannot."""
  with pytest.raises(ConfigError, match=r"step 11 is taken .* step 12"):
    pretrain.run(
      config(train__steps=16, train__skip_steps="11:14"), str(workdir)
    )
  go_on = config(
    train__steps=16, train__max_skipped=3, train__skip_steps="13:14"
  )
  result = pretrain.run(go_on, str(workdir))
  # Steps 3, 11, 12 and 15 were not finite.
  assert result["skipped"] == 4
  assert [m["skipped"] for m in lines_of(workdir)[-3:]] == [2, 2, 1]
  written = json.loads((workdir / results.CONFIG).read_text())
  assert written["train"]["skip_steps"] == "13:14"


def test_a_lower_rate_goes_on_and_is_recorded(config, made, workdir, tmp_path):
  directory = str(shutil.copytree(workdir, tmp_path / "run"))
  lower = {"train__steps": 18, "optim__lr": 0.01, "train__skip_steps": "13:14"}
  message = r"config\.optim\.lr is 0\.01, .*resume_with=\"\('optim\.lr',\)\"$"
  with pytest.raises(ConfigError, match=message):
    pretrain.run(config(**lower), directory)
  lower["train__resume_with"] = ("optim.lr",)
  changes = [{"step": 16, "optim.lr": [0.1, 0.01]}]
  assert pretrain.run(config(**lower), directory)["changes"] == changes
  with saving.Checkpoints(directory) as saved:
    assert saved.config(18)["optim"]["lr"] == 0.01
  # The same command goes on, and so does one that says no more of it.
  lower["train__steps"] = 19
  assert pretrain.run(config(**lower), directory)["changes"] == changes
  del lower["train__resume_with"]
  lower["train__steps"] = 20
  assert pretrain.run(config(**lower), directory)["changes"] == changes
  momentum = [
    np.abs(x).max()
    for x in jax.tree.leaves(restored(directory, made, 20).state.opt_state)
  ]
  assert all(np.isfinite(momentum))


def test_a_field_that_may_not_change_is_refused(config, workdir):
  with pytest.raises(
    ConfigError, match=r"resume_with: 'model\.width' is not one"
  ):
    pretrain.run(config(train__resume_with=("model.width",)), str(workdir))
