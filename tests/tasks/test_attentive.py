"""Whole runs of attentive probes, by a label and by a tag."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

from hdc_jax.errors import ConfigError
from hdc_jax.evaluate import features, sweeps
from hdc_jax.runs import results
from hdc_jax.runs.predictions import ClassScores
from hdc_jax.tasks import attentive
from tests import small


def config(**changes):
  few = {
    "attentive__rates": (1e-3, 1e-2),
    "attentive__decays": (0.1,),
    "attentive__epochs": 2,
    "attentive__views": 3,
    "attentive__held_out": 0.4,
    "test__crops": "three",
  }
  return small.tiny("attentive", **few | changes)


@pytest.fixture
def checkpoint(quick, tmp_path):
  made = small.tiny()
  training = small.resolve(made).make_training(jax.make_mesh((1,), ("data",)))
  small.save_run(tmp_path / "pretrained", training, made)
  return str(tmp_path / "pretrained")


@pytest.mark.slow
def test_a_run(tagged, checkpoint, tmp_path, monkeypatch):
  """Settings are chosen by training videos alone; the test follows."""
  swept, sweep = [], sweeps.sweep

  def spy(tokens, *args):
    swept.append((tokens, sweep(tokens, *args)))
    return swept[-1][-1]

  monkeypatch.setattr(sweeps, "sweep", spy)
  fields = {"data__path": tagged, "checkpoint": checkpoint}
  result = attentive.run(config(**fields), str(tmp_path / "run"))
  assert [row["name"] for row in result["rows"]] == [
    f"{label}-rate{rate}-decay0.1"
    for label in ("kind", "actions")
    for rate in ("0.001", "0.01")
  ]
  assert {(row["rate"], row["decay"]) for row in result["rows"]} == {
    ("0.001", "0.1"),
    ("0.01", "0.1"),
  }
  for (tokens, one), label in zip(swept, ("kind", "actions"), strict=True):
    assert tokens.shape[:2] == (11, 3) and tokens.ndim == 4  # of 16 videos
    rows = [row for row in result["rows"] if row["label"] == label]
    assert [row["held_out"] for row in rows] == pytest.approx(one.accuracies)
    (chosen,) = (row for row in rows if row["chosen"])
    assert chosen is rows[one.best]
    saved = ClassScores.load(tmp_path / "run" / label / "predictions.npz")
    assert len(saved.ids) == 5
    if label == "kind":
      right = saved.scores.argmax(axis=1) == saved.labels
      assert chosen["top1"] == pytest.approx(100 * right.mean())
      np.testing.assert_allclose(saved.scores.sum(axis=1), 1, rtol=1e-5)
    else:
      want = metrics.average_precision_score(saved.labels, saved.scores)
      assert chosen["map"] == pytest.approx(100 * want)
  assert results.read_result(tmp_path / "run") == result
  page = (tmp_path / "run" / "report.html").read_text()
  assert "Attentive probe" in page and "mAP %" in page
  # Another test changes its results, and nothing of the choice.
  other = config(**fields, test__split="train", data__labels=("kind",))
  again = attentive.run(other, str(tmp_path / "other"))["rows"]
  choice = [(row["held_out"], row["chosen"]) for row in result["rows"][:2]]
  assert [(row["held_out"], row["chosen"]) for row in again] == choice


def test_tokens_are_the_positions_of_a_block(quick):
  options = small.options("attentive")
  clips = jnp.ones((2, 8, 36, 36, 3))
  network = options.model.make()
  variables = network.init(jax.random.key(0), clips)
  tokens = options.make_describe()(variables, clips)
  block = network.apply(variables, clips)["block5"]
  assert tokens.shape == (2, np.prod(block.shape[1:4]), block.shape[-1])
  np.testing.assert_array_equal(tokens[1, -1], block[1, -1, -1, -1])
  other = features.Endpoint(endpoint="block2")
  wider = features.make_tokens(options.model, other)(variables, clips)
  assert wider.shape[1] > tokens.shape[1]


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("decays", (), "config.attentive.decays is not set"),
    ("decays", (-0.1,), "attentive.decays=.* must be at least 0"),
    ("held_out", 0.0, "attentive.held_out=0.0 cannot choose among 2 settings"),
    ("warmup_epochs", 2, "attentive.warmup_epochs=2 must be less than config"),
  ],
)
def test_bad_configs(field, value, message):
  with pytest.raises(ConfigError, match=message):
    small.resolve(config(**{f"attentive__{field}": value}))
