"""Which videos to train and test on: labels, divisions and random subsets.

A trial is one training and one test. There is one for each label, each division
of the dataset into train and test, and each random subset of the training
videos; results are averaged over the latter two.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grain
import jax
import numpy as np
from etils import epath

from hdc_jax.data import sources
from hdc_jax.data.clips import loader
from hdc_jax.data.labels import subsets
from hdc_jax.data.labels.segments import segments_of
from hdc_jax.data.labels.splits import chosen_labels, split_names
from hdc_jax.data.options import Folds, Loading, Subset, Tested
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import statistics
from hdc_jax.evaluate.evaluation import Outputs
from hdc_jax.runs.predictions import Predictions
from hdc_jax.runs.rows import CONFIDENCE
from hdc_jax.runtime import files
from hdc_jax.runtime.progress import Progress

LIST = "train.json"


@dataclasses.dataclass(frozen=True)
class Trial:
  """One training and one test.

  Attributes:
    label: Name of the label to learn.
    classes: Their names, by number.
    fold: Number of the division, or ''.
    draw: Number of the random subset.
    draws: How many of those there are.
    train_split: Name of the split that the training videos are of.
    test_split: Name of the split to test on.
    train: Record numbers of the videos to train on.
  """

  label: str
  classes: Sequence[str]
  fold: str
  draw: int
  draws: int
  train_split: str
  test_split: str
  train: np.ndarray

  @property
  def name(self) -> str:
    """Of its directory: 'class-split1-draw0', as far as it is needed."""
    split = f"-split{self.fold}" if self.fold else ""
    return f"{self.label}{split}" + (
      f"-draw{self.draw}" if self.draws > 1 else ""
    )

  @property
  def row(self) -> dict[str, str]:
    """What tells its results from others'."""
    row = {"name": self.name, "label": self.label}
    if self.fold:
      row["split"] = self.fold
    if self.draws > 1:
      row["draw"] = str(self.draw)
    return row

  def predictions(self, outputs: Outputs, scores: np.ndarray) -> Predictions:
    """What was predicted of the tested parts.

    Args:
      outputs: Of P parts.
      scores: float32 [P, C].
    """
    ids, names = np.array(outputs.ids), np.array(self.classes)
    return Predictions(ids, outputs.labels, scores, names, self.label)

  @property
  def changes(self) -> dict[str, Any]:
    """What makes a config that of this trial alone, by dotted field."""
    return {
      "data.split": self.train_split,
      "test.split": self.test_split,
      "data.labels": (self.label,),
    }


@dataclasses.dataclass(frozen=True)
class _Classes(grain.transforms.Map):
  """From record numbers to ids and classes.

  Attributes:
    source: Of the videos.
    label: Whose classes.
  """

  source: sources.Source
  label: str

  # Grain does not annotate what is overridden here.
  # pyrefly: ignore[bad-override]
  def map(self, element: Any) -> tuple[str, list[int]]:
    """The id, and the classes of the video's parts."""
    video = self.source[int(element)]
    segments = segments_of(int(element), video, self.label)
    return video.id, sorted({segment.label for segment in segments})


@dataclasses.dataclass(frozen=True)
class Plan:
  """Which trials to make.

  Attributes:
    source: The videos.
    folds: Splits to train on, and labels.
    tested: Split to test on.
    subset: How few labels to learn from.
    loading: Threads that read the labels.
    seed: Seed of the subsets.
  """

  source: sources.Source
  folds: Folds
  tested: Tested
  subset: Subset
  loading: Loading
  seed: int

  def write_trials(self, workdir: epath.PathLike) -> list[Trial]:
    """Makes the trials: labels, then folds, then subsets.

    Args:
      workdir: Gets a directory for each trial, with the list of its training
        videos. A list that is there already is used again.

    Raises:
      ConfigError: If there is no such label, split or subset.
      DataError: If a class has no video to train on, or no name.
    """
    folds = split_names(self.folds, self.tested.split, self.source.index)
    trials = []
    for label in chosen_labels(self.folds, self.source.index):
      for fold, (train, test) in folds.items():
        names = self.source.index.labels[label]
        videos = self.source.index.split(train)
        whole = Trial(
          label, names, fold, 0, self.subset.draws, train, test, videos
        )
        trials += self._write_draws(epath.Path(workdir), whole)
    return trials

  def _write_draws(self, workdir: epath.Path, whole: Trial) -> Iterator[Trial]:
    """Makes a trial for each random subset of the videos of one trial."""
    known: list[tuple[str, list[int]]] = []
    for draw in range(self.subset.draws):
      trial = dataclasses.replace(whole, draw=draw)
      path = workdir / trial.name / LIST
      stamp = self._stamp(trial)
      saved = json.loads(files.read_text(path)) if files.exists(path) else {}
      if stamp.items() <= saved.items():
        chosen = np.array([v["record"] for v in saved["videos"]], np.int64)
      else:
        known = known or self._read_labels(whole)
        rng = np.random.default_rng((self.seed, draw))
        positions = _choose(known, self.subset, trial.label, rng)
        chosen = whole.train[positions]
        _write(path, stamp, trial, known, positions)
      yield dataclasses.replace(trial, train=chosen)

  def _stamp(self, trial: Trial) -> dict[str, Any]:
    """What tells the list of a trial from lists of other videos."""
    return {
      "data_fingerprint": self.source.index.fingerprint,
      "split": trial.train_split,
      "label": trial.label,
      "seed": self.seed,
      "subset": vars(self.subset),
    }

  def _read_labels(self, trial: Trial) -> list[tuple[str, list[int]]]:
    """Reads the id and the classes of each training video, and checks them."""
    # A test without labels fails now, and not after the training.
    first = int(self.source.index.split(trial.test_split)[0])
    segments_of(first, self.source[first], trial.label)
    dataset = loader.record_numbers(trial.train).map(
      _Classes(self.source, trial.label)
    )
    # A record of ten seconds has some 200 kB.
    loading = dataclasses.replace(self.loading, workers=0)
    known = []
    title = f"labels of {trial.train_split}"
    with Progress(len(trial.train), "videos", title) as progress:
      for video in loader.read_ahead(dataset, 1 << 18, loading):
        known.append(video)
        progress.update()
    _check_classes(known, trial.classes, trial.label, trial.train_split)
    return known


def _check_classes(
  known: list[tuple[str, list[int]]],
  names: Sequence[str],
  label: str,
  split: str,
) -> None:
  """Raises DataError if a class has no video, or no name."""
  for name, classes in known:
    unnamed = [number for number in classes if not 0 <= number < len(names)]
    if unnamed:
      raise DataError(
        f"{name}: its class {unnamed[0]} of label {label!r} has no name, "
        f"index.json lists {len(names)}: prepare the dataset again"
      )
  found = {number for _, classes in known for number in classes}
  missing = [name for i, name in enumerate(names) if i not in found]
  if missing:
    raise DataError(
      f"split {split!r} has no video of {len(missing)} of the {len(names)} "
      f"classes of {label!r}: {', '.join(missing[:5])}"
      f"{', …' if len(missing) > 5 else ''}; nothing could learn them"
    )


def _choose(
  known: list[tuple[str, list[int]]],
  subset: Subset,
  label: str,
  rng: np.random.Generator,
) -> np.ndarray:
  """Positions of the videos to train on."""
  if subset.whole:
    return np.arange(len(known))
  for name, classes in known:
    if len(classes) > 1:
      raise ConfigError(
        f"config.subset: label {label!r} changes within videos, such as "
        f"{name}; subsets are balanced by labels of whole videos only"
      )
  labels = np.array([classes[0] for _, classes in known])
  if subset.shots:
    return subsets.by_shots(labels, subset.shots, rng)
  return subsets.by_fraction(labels, subset.fraction, rng)


def _write(
  path: epath.Path,
  stamp: Mapping[str, Any],
  trial: Trial,
  known: list[tuple[str, list[int]]],
  positions: np.ndarray,
) -> None:
  """Writes the list of training videos, on process 0."""
  videos = [
    {
      "record": int(trial.train[i]),
      "id": known[i][0],
      "classes": [trial.classes[number] for number in known[i][1]],
    }
    for i in positions
  ]
  if jax.process_index() == 0:
    files.write_json(path, dict(stamp) | {"videos": videos})


def summarise(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
  """The mean of each label's rows, over divisions and then over draws.

  Args:
    rows: Of trials, each with `Trial.row` and numbers.

  Returns:
    A row for each label that has several, with half the width of the 95 %
    confidence interval of the mean of the draws, if there are several.
  """
  means = []
  for label in dict.fromkeys(row["label"] for row in rows):
    own = [row for row in rows if row["label"] == label]
    if len(own) == 1:
      continue
    draws = list(dict.fromkeys(row.get("draw") for row in own))
    mean: dict[str, Any] = {"name": f"{label}-mean", "label": label}
    mean |= {k: "mean" for k in ("split", "draw") if k in own[0]}
    for column in (k for k, v in own[0].items() if isinstance(v, float)):
      by_draw = [
        float(np.mean([r[column] for r in own if r.get("draw") == draw]))
        for draw in draws
      ]
      mean[column], half = statistics.confidence(by_draw)
      if len(draws) > 1:
        mean[column + CONFIDENCE] = half
    means.append(mean)
  return means
