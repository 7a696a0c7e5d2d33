"""Whole runs by a tag, without the query's group, and on training videos."""

import json
import logging

import jax
import numpy as np
import pytest
from sklearn import metrics

from hdc_jax.data import sources
from hdc_jax.errors import ConfigError
from hdc_jax.evaluate import search
from hdc_jax.runs.predictions import ClassScores
from hdc_jax.tasks import dry_run, finetune, linear, preflight, retrieve
from tests import small
from tests import tagged as tagged_lib

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def checkpoint(quick, tmp_path):
  config = small.tiny()
  training = small.training(jax.make_mesh((1,), ("data",)), **TINY)
  small.save_run(tmp_path / "pretrained", training, config)
  return str(tmp_path / "pretrained")


# What `small.tiny` has, and `small.config` has not.
TINY = {"data__frames": 4, "model__width": 2, "method__blocks": (5,)}
TINY |= {"method__weights": (1.0,)}


def shown(source, split):
  """Which actions the videos of a split show, as the dataset was made."""
  numbers = source.index.split(split).tolist()
  rows = np.zeros((len(numbers), 3), bool)
  for row, number in zip(rows, numbers, strict=True):
    row[tagged_lib.actions_of(number)] = True
  return rows


def check_predictions(directory, tagged, row):
  """The file has the test's truth, and the row has scikit-learn's mAP."""
  saved = ClassScores.load(directory / "actions" / "predictions.npz")
  np.testing.assert_array_equal(
    saved.labels, shown(sources.open(tagged), "test")
  )
  want = metrics.average_precision_score(saved.labels, saved.scores)
  assert row["map"] == pytest.approx(100 * want, abs=1e-9)
  assert not {"top1", "top5"} & row.keys()


@pytest.mark.slow
def test_fine_tuning(tagged, checkpoint, tmp_path):
  """A label and a tag, each with its measure."""
  config = small.tiny("finetune", data__path=tagged, checkpoint=checkpoint)
  result = finetune.run(config, str(tmp_path))
  kind, actions = result["rows"]
  assert (kind["name"], actions["name"]) == ("kind", "actions")
  assert {"top1", "top5"} <= kind.keys() and "map" not in kind
  check_predictions(tmp_path, tagged, actions)
  assert result["top1"] == kind["top1"]
  assert "warnings" not in result
  lines = (tmp_path / "actions" / "metrics.jsonl").read_text().splitlines()
  # Of sigmoids: before anything is learned, near log 2 for each class.
  assert 0.3 < json.loads(lines[0])["loss"] < 1.2
  page = (tmp_path / "report.html").read_text()
  assert "mAP %" in page and "Saliency · actions" in page
  assert finetune.run(config, str(tmp_path)) == result


def test_linear_probes(tagged, checkpoint, tmp_path):
  config = small.tiny(
    "linear",
    data__path=tagged,
    data__labels=("actions",),
    checkpoint=checkpoint,
    linear__rates=(1.0, 30.0),
    linear__epochs=3,
    linear__warmup_epochs=1,
    linear__held_out=0.4,
  )
  result = linear.run(config, str(tmp_path))
  assert [row["rate"] for row in result["rows"]] == ["1", "30"]
  (chosen,) = (row for row in result["rows"] if row["chosen"])
  check_predictions(tmp_path, tagged, chosen)
  assert result["map"] == chosen["map"]


@pytest.mark.parametrize("exclude", ["", "group"])
def test_retrieval(tagged, checkpoint, tmp_path, monkeypatch, exclude):
  """A hit shares an action with its query, and is not of its own group."""
  found, nearest = [], search.nearest

  def spy(*args):
    found.append(nearest(*args))
    return found[-1]

  monkeypatch.setattr(search, "nearest", spy)
  config = small.tiny(
    "retrieve",
    data__path=tagged,
    data__labels=("actions",),
    checkpoint=checkpoint,
    test__split="train",
    test__exclude=exclude,
    retrieve__untrained=False,
  )
  trained, chance = retrieve.run(config, str(tmp_path))["rows"]
  (neighbours,) = found
  truth = shown(sources.open(tagged), "train")
  groups = np.arange(len(truth)) // tagged_lib.GROUPED
  hits = []
  for query, others in enumerate(neighbours.indices.tolist()):
    own = {query}
    if exclude:
      own = set(np.flatnonzero(groups == groups[query]).tolist())
    assert set(others[-len(own) :]) == own
    near = [j for j in others[:5] if j not in own]
    hits.append([bool((truth[query] & truth[j]).any()) for j in near])
  assert trained["top1"] == pytest.approx(100 * np.mean([h[0] for h in hits]))
  assert trained["top5"] == pytest.approx(100 * np.mean([any(h) for h in hits]))
  assert 0 < trained["knn_map"] <= 100 and "knn" not in trained
  assert 0 < chance["top1"] < chance["top5"] <= 100


def test_groups_that_are_not_there(prepared, checkpoint, tmp_path):
  """One line, before anything is computed, also in a preflight."""
  config = small.tiny(
    "retrieve",
    data__path=prepared,
    checkpoint=checkpoint,
    test__exclude="group",
  )
  for run in (retrieve.run, preflight.check):
    with pytest.raises(ConfigError, match=r"exclude=group: .* no groups"):
      run(config, str(tmp_path / "run"))


@pytest.mark.parametrize("task", ["finetune", "linear"])
def test_only_a_search_leaves_groups_out(task):
  with pytest.raises(ConfigError, match=r"config\.test.*'exclude'"):
    small.tiny(task, test__exclude="group")


@pytest.mark.parametrize("task", ["finetune", "linear"])
def test_subsets_of_tags_are_refused(tagged, checkpoint, tmp_path, task):
  changes = {"data__path": tagged, "checkpoint": checkpoint}
  config = small.tiny(task, **changes, subset__shots=1)
  run = {"finetune": finetune.run, "linear": linear.run}[task]
  for function in (run, preflight.check):
    with pytest.raises(ConfigError, match=r"config\.subset: .*'actions'"):
      function(config, str(tmp_path / "run"))


def warned(caplog):
  return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]


def test_a_test_on_training_videos_is_warned_of(
  tagged, checkpoint, tmp_path, caplog
):
  """In the log, dry run, preflight, result and report."""
  caplog.set_level(logging.WARNING)
  config = small.tiny(
    "linear",
    data__path=tagged,
    data__labels=("kind",),
    checkpoint=checkpoint,
    test__split="train",
    linear__rates=(1.0,),
    linear__epochs=2,
    linear__warmup_epochs=0,
  )
  result = linear.run(config, str(tmp_path / "run"))
  (warning,) = result["warnings"]
  assert "splits train and train have 11 videos in common" in warning
  assert warned(caplog).count(warning) == 1
  assert "11 videos in common" in (tmp_path / "run" / "report.html").read_text()
  caplog.clear()
  preflight.check(config, str(tmp_path / "run"))
  assert warning in warned(caplog)
  caplog.clear()
  dry_run.describe(config, str(tmp_path / "run"))
  (line,) = warned(caplog)
  assert "train and train have all videos in common" in line
  caplog.clear()
  config.test.split = "test"
  dry_run.describe(config, str(tmp_path / "run"))
  preflight.check(config, str(tmp_path / "run"))
  assert not warned(caplog)
