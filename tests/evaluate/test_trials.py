"""Trials: what they train on, and what is remembered of it."""

import collections
import dataclasses
import itertools
import json

import numpy as np
import pytest

from hdc_jax.data import sources
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import trials as trials_lib
from tests import layouts, small

NAMES = ["ApplyEyeMakeup", "Basketball", "HandstandPushups"]


class Unreadable:
  """A source whose videos must not be looked at."""

  def __init__(self, source):
    self.index = source.index

  def __getitem__(self, number):
    raise AssertionError(f"video {number} is read")


@pytest.fixture
def source(ucf101):
  """A new one for each test: some change its index."""
  return sources.open(ucf101)


def trials(source, workdir, **changes):
  options = small.options(task="finetune", **changes)
  plan = trials_lib.TrialPlan(
    source,
    options.folds,
    options.tested,
    options.subset,
    options.loading,
    options.seed.seed,
  )
  return plan.write_trials(workdir)


def classes(source, trial):
  """How many videos of each class there are to train on."""
  found = (source[int(number)].label("class", 0) for number in trial.train)
  return collections.Counter(found)


def test_one_for_each_fold(source, tmp_path):
  found = trials(source, tmp_path)
  assert [trial.row for trial in found] == [
    {"name": f"class-split{fold}", "label": "class", "split": fold}
    for fold in "123"
  ]
  for fold, trial in zip("123", found, strict=True):
    assert list(trial.classes) == NAMES
    assert trial.test_split == f"test{fold}"
    np.testing.assert_array_equal(
      trial.train, source.index.split(f"train{fold}")
    )
    assert trial.changes == {
      "data.split": f"train{fold}",
      "test.split": f"test{fold}",
      "data.labels": ("class",),
    }


def test_one_for_each_label(prepared, tmp_path):
  """Without folds; also of labels that change within videos."""
  source = sources.open(prepared)
  found = trials(source, tmp_path)
  assert [trial.row for trial in found] == [
    {"name": name, "label": name} for name in ("motion", "scene")
  ]
  for trial in found:
    np.testing.assert_array_equal(trial.train, source.index.split("train"))
  saved = json.loads((tmp_path / "scene" / "train.json").read_text())
  assert max(len(video["classes"]) for video in saved["videos"]) > 1


def test_one_for_each_draw(source, tmp_path):
  found = trials(source, tmp_path, subset__shots=2, subset__draws=2)
  assert [trial.row for trial in found] == [
    {"name": f"class-split{fold}-draw{draw}"}
    | {"label": "class", "split": fold, "draw": draw}
    for fold in "123"
    for draw in "01"
  ]
  assert set(found[0].train.tolist()) != set(found[1].train.tolist())


@pytest.mark.parametrize("subset", [{}, {"subset__shots": 2}])
def test_lists_are_written_and_used_again(source, tmp_path, subset):
  first = trials(source, tmp_path, **subset)
  for trial in first:
    saved = json.loads((tmp_path / trial.name / "train.json").read_text())
    assert [video["record"] for video in saved["videos"]] == list(trial.train)
    for video in saved["videos"]:
      assert video["id"] == source[video["record"]].id
      assert video["classes"] == [video["id"].split("/")[0]]
  again = trials(Unreadable(source), tmp_path, **subset)
  for one, other in zip(first, again, strict=True):
    assert one.row == other.row
    np.testing.assert_array_equal(one.train, other.train)
    assert one.train.dtype == other.train.dtype


@pytest.mark.parametrize("change", ["seed", "dataset", "subset", "no list"])
def test_lists_of_something_else_are_made_anew(source, tmp_path, change):
  changes = {"data__folds": (1,), "subset__shots": 3, "seed": 0}
  (before,) = trials(source, tmp_path, **changes)
  if change == "seed":
    changes["seed"] = 1
  elif change == "subset":
    changes["subset__shots"] = 2
  elif change == "dataset":
    source.index = dataclasses.replace(source.index, fingerprint="other")
  else:
    (tmp_path / before.name / "train.json").unlink()
  with pytest.raises(AssertionError, match="is read"):
    trials(Unreadable(source), tmp_path, **changes)
  (after,) = trials(source, tmp_path, **changes)
  same = np.array_equal(before.train, after.train)
  assert same == (change in ("dataset", "no list"))


@pytest.mark.parametrize(
  ("subset", "each"),
  [({"shots": 1}, 1), ({"shots": 4}, 4), ({"fraction": 0.5}, 3)],
)
def test_subsets_are_balanced(source, tmp_path, subset, each):
  changes = {f"subset__{field}": value for field, value in subset.items()}
  for trial in trials(source, tmp_path, subset__draws=2, **changes):
    assert classes(source, trial) == dict.fromkeys(range(3), each)
    split = source.index.split(trial.train_split)
    assert set(trial.train.tolist()) < set(split.tolist())
    assert len(set(trial.train.tolist())) == len(trial.train)


@pytest.mark.parametrize(
  ("field", "values"), [("shots", (1, 2, 5)), ("fraction", (0.2, 0.5, 1.0))]
)
def test_smaller_subsets_lie_in_larger_ones(source, tmp_path, field, values):
  """And each is the same in another directory."""
  found = [
    trials(source, tmp_path / f"{place}{value}", **{f"subset__{field}": value})
    for place in "ab"
    for value in values
  ]
  drawn = [[set(trial.train.tolist()) for trial in each] for each in found]
  assert drawn[:3] == drawn[3:]
  for smaller, larger in itertools.pairwise(drawn[:3]):
    assert all(a < b for a, b in zip(smaller, larger, strict=True))


@pytest.mark.parametrize(
  ("changes", "error", "message"),
  [
    ({"data__labels": ("kind",)}, ConfigError, r"data\.labels: 'kind' is not"),
    ({"test__split": "val"}, ConfigError, "no split 'val1'"),
    ({"data__folds": (4,)}, ConfigError, "no split 'train4'"),
    ({"subset__draws": 2}, ConfigError, r"subset\.draws=2: .* random subsets"),
    ({"subset__draws": 0}, ConfigError, r"subset\.draws=0 must be at least 1"),
    (
      {"subset__shots": 2, "subset__fraction": 0.5},
      ConfigError,
      r"subset\.fraction=0\.5 and config\.subset\.shots=2 exclude each other",
    ),
    (
      {"subset__shots": -1},
      ConfigError,
      r"subset\.shots=-1 must be at least 0",
    ),
    (
      {"subset__fraction": 0.0},
      ConfigError,
      r"subset\.fraction=0\.0 must be above 0",
    ),
    (
      {"subset__fraction": 1.5},
      ConfigError,
      r"subset\.fraction=1\.5 must be at most 1",
    ),
    ({"subset__shots": 7}, DataError, "has 6 videos, fewer than shots=7"),
  ],
)
def test_bad_configs(source, tmp_path, changes, error, message):
  with pytest.raises(error, match=message):
    trials(source, tmp_path, **changes)


@pytest.mark.parametrize("subset", [{"shots": 1}, {"fraction": 0.5}])
def test_no_subsets_of_labels_that_change(prepared, tmp_path, subset):
  changes = {f"subset__{field}": value for field, value in subset.items()}
  message = r"label 'scene' changes within videos, such as \S+; subsets"
  with pytest.raises(ConfigError, match=message):
    trials(sources.open(prepared), tmp_path, **changes)


@pytest.mark.parametrize(
  ("names", "message"),
  [
    (
      [*NAMES, "Rowing"],
      r"'train1' has no video of 1 of the 4 classes of 'class': Rowing; ",
    ),
    (
      [*NAMES, *"abcdef"],
      r"no video of 6 of the 9 classes of 'class': a, b, c, d, e, …; ",
    ),
    (
      NAMES[:2],
      r"HandstandPushups/.*avi has class 2 of 'class', which has 2 classes",
    ),
  ],
)
def test_classes_and_videos_that_do_not_fit(source, tmp_path, names, message):
  source.index = dataclasses.replace(source.index, labels={"class": names})
  with pytest.raises(DataError, match=message):
    trials(source, tmp_path)
  assert not list(tmp_path.iterdir())


def test_a_test_without_labels_fails_before_any_training(tmp_path):
  made = layouts.kinetics(tmp_path / "k400")
  source = sources.open(layouts.prepare("kinetics400", made, tmp_path / "out"))
  message = r"test/\S+: has no label 'class', but none: choose another split"
  with pytest.raises(DataError, match=message):
    trials(source, tmp_path / "run")
  (found,) = trials(source, tmp_path / "run", test__split="val")
  assert found.name == "class"
