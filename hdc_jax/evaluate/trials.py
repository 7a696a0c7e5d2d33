"""Trials: the videos of each training and test, by label, fold and subset.

A trial is one training and its test. There is one for each combination of a
label, a fold of the dataset and a random subset of the training videos. Results
are averaged over folds and subsets, see `statistics.mean_rows`.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath

from hdc_jax.data import sources
from hdc_jax.data.labels.segments import segments_of
from hdc_jax.data.labels.splits import split_names
from hdc_jax.data.labels.targets import Target, chosen_targets
from hdc_jax.data.options import Folds, Loading, Subset, Tested
from hdc_jax.errors import DataError
from hdc_jax.evaluate import statistics, training_videos
from hdc_jax.evaluate.evaluation import Outputs
from hdc_jax.evaluate.kinds import LABEL, TAG, Kind, kind_of
from hdc_jax.runs import results
from hdc_jax.runs.predictions import ClassScores
from hdc_jax.runtime import files

# The list of a trial's training videos, in its directory.
LIST = "train.json"


@dataclasses.dataclass(frozen=True)
class Trial:
  """One training and its test.

  Attributes:
    target: The label or tag to learn.
    fold: Number of the fold; '' if the dataset has only one.
    draw: Number of the random subset.
    draws: Number of random subsets.
    train_split: Name of the split that has the training videos.
    test_split: Name of the split to test on.
    train: Record numbers of the training videos, int64 [N].
  """

  target: Target
  fold: str
  draw: int
  draws: int
  train_split: str
  test_split: str
  train: np.ndarray

  @property
  def label(self) -> str:
    """Name of the label or tag."""
    return self.target.name

  @property
  def classes(self) -> Sequence[str]:
    """Names of the classes, by number."""
    return self.target.classes

  @property
  def kind(self) -> Kind:
    """What depends on whether a video has one class or any number."""
    return kind_of(self.target)

  @property
  def name(self) -> str:
    """Name of the trial's directory: 'class-split1-draw0', or shorter.

    The fold is in the name only if the dataset has several, and likewise the
    subset.
    """
    split = f"-split{self.fold}" if self.fold else ""
    return f"{self.label}{split}" + (
      f"-draw{self.draw}" if self.draws > 1 else ""
    )

  @property
  def row(self) -> dict[str, str]:
    """The columns that identify the trial in a table of results."""
    row = {"name": self.name, "label": self.label}
    if self.fold:
      row["split"] = self.fold
    if self.draws > 1:
      row["draw"] = str(self.draw)
    return row

  def predictions(self, outputs: Outputs, scores: np.ndarray) -> ClassScores:
    """The predictions of the trial's test.

    Args:
      outputs: Outputs of the network for P segments.
      scores: Score of each class for each segment, float32 [P, C].
    """
    return self.kind.predict(self.target, outputs, scores)

  @property
  def changes(self) -> dict[str, Any]:
    """Values that limit a config to this trial, by dotted field."""
    return {
      "data.split": self.train_split,
      "test.split": self.test_split,
      "data.labels": (self.label,),
    }


@dataclasses.dataclass(frozen=True)
class TrialPlan:
  """The labels, folds and subsets for which trials are made.

  Attributes:
    source: The videos.
    folds: Splits to train on, and labels.
    tested: Split to test on.
    subset: Size and number of the random subsets.
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
    """Makes the trials, and writes the list of training videos of each.

    Args:
      workdir: Directory of the run. It gets a directory for each trial, with
        the list of its training videos. A list that exists already is read
        instead.

    Returns:
      The trials, ordered by label, then fold, then subset.

    Raises:
      ConfigError: If there is no such label, split or subset.
      DataError: If a class has no video to train on, or no name.
    """
    folds = split_names(self.folds, self.tested.split, self.source.index)
    trials = []
    for target in chosen_targets(self.folds, self.source.index):
      for fold, (train, test) in folds.items():
        videos = self.source.index.split(train)
        draws = self.subset.draws
        whole = Trial(target, fold, 0, draws, train, test, videos)
        trials += self._write_draws(epath.Path(workdir), whole)
    return trials

  def _write_draws(self, workdir: epath.Path, whole: Trial) -> Iterator[Trial]:
    """Makes a trial for each random subset, and writes its list of videos.

    Args:
      workdir: Directory of the run.
      whole: The trial as it would be with all training videos.
    """
    labelled: list[training_videos.Labelled] = []
    for draw in range(self.subset.draws):
      trial = dataclasses.replace(whole, draw=draw)
      path = workdir / trial.name / LIST
      stamp = self._stamp(trial)
      saved = results.read_object(path)
      if stamp.items() <= saved.items():
        train = np.array([v["record"] for v in saved["videos"]], np.int64)
      else:
        labelled = labelled or self._read_labels(whole)
        rng = np.random.default_rng((self.seed, draw))
        positions = training_videos.draw(
          labelled, self.subset, trial.label, rng
        )
        train = whole.train[positions]
        _write_list(path, stamp, trial, labelled, positions)
      yield dataclasses.replace(trial, train=train)

  def _stamp(self, trial: Trial) -> dict[str, Any]:
    """The values on which the list of a trial's training videos depends."""
    return {
      "data_fingerprint": self.source.index.fingerprint,
      "split": trial.train_split,
      "label": trial.label,
      "seed": self.seed,
      "subset": vars(self.subset),
    }

  def _read_labels(self, trial: Trial) -> list[training_videos.Labelled]:
    """Reads the id and the classes of each training video, and checks them."""
    # Read a test video too, so that a test split without labels is an error
    # before the training.
    for number in self.source.index.split(trial.test_split).tolist():
      try:
        video = self.source[number]
      except DataError:
        continue  # It is left out when it is tested.
      segments_of(number, video, trial.label)
      break
    return training_videos.read(
      self.source,
      trial.train,
      target=trial.target,
      split=trial.train_split,
      loading=self.loading,
    )


def _write_list(
  path: epath.Path,
  stamp: Mapping[str, Any],
  trial: Trial,
  labelled: list[training_videos.Labelled],
  positions: np.ndarray,
) -> None:
  """Writes the list of training videos, on process 0.

  Args:
    path: Path of the file.
    stamp: The values on which the list depends.
    trial: The trial as it would be with all training videos.
    labelled: Id and classes of each of these videos.
    positions: Which of these videos to list, as indices into `labelled`.
  """
  videos = [
    {
      "record": int(trial.train[i]),
      "id": labelled[i][0],
      "classes": [trial.classes[number] for number in labelled[i][1]],
    }
    for i in positions
  ]
  if jax.process_index() == 0:
    files.write_json(path, dict(stamp) | {"videos": videos})


def summary(
  rows: Sequence[Mapping[str, Any]],
  measured: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
  """The entries of result.json for some trials: rows, means and headline.

  Args:
    rows: Results of the trials by column, see `Trial.row`.
    measured: Those of the rows that are averaged; by default all.

  Returns:
    `rows`, with the means at their end; and the results of the first mean, or
    of the first row if there is none: 'top1' and 'top5', or 'map'.
  """
  measured = rows if measured is None else measured
  means = statistics.mean_rows(measured)
  first = (means or measured)[0]
  names = {name for kind in (LABEL, TAG) for name in kind.measures}
  headline = {name: value for name, value in first.items() if name in names}
  return headline | {"rows": [*rows, *means]}
