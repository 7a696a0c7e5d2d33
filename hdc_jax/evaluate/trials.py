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
import ml_collections
import numpy as np
from etils import epath

from hdc_jax.data import sources
from hdc_jax.data.clips import loader
from hdc_jax.data.labels import subsets
from hdc_jax.data.labels.segments import parts_of
from hdc_jax.data.labels.splits import chosen_labels, split_names
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import features, statistics
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

  def predictions(
    self, outputs: features.Outputs, scores: np.ndarray
  ) -> Predictions:
    """What was predicted of the tested parts.

    Args:
      outputs: Of P parts.
      scores: float32 [P, C].
    """
    ids, names = np.array(outputs.ids), np.array(self.classes)
    return Predictions(ids, outputs.labels, scores, names, self.label)

  def configure(
    self, config: ml_collections.ConfigDict
  ) -> ml_collections.ConfigDict:
    """The config of this trial alone."""
    config = config.copy_and_resolve_references()
    config.data.split, config.test.split = self.train_split, self.test_split
    config.data.labels = (self.label,)
    return config


@dataclasses.dataclass(frozen=True)
class _Classes(grain.transforms.Map):
  """From record numbers to ids and classes.

  Attributes:
    source: Of the videos.
    label: Whose classes.
  """

  source: sources.Source
  label: str

  def map(self, number: int) -> tuple[str, list[int]]:
    """The id, and the classes of the video's parts."""
    video = self.source[int(number)]
    parts = parts_of(int(number), video, self.label)
    return video.id, sorted({part.label for part in parts})


def trials(
  config: ml_collections.ConfigDict,
  source: sources.Source,
  workdir: epath.PathLike,
) -> list[Trial]:
  """Those that the config asks for: labels, then divisions, then subsets.

  Args:
    config: `data`, `test.split`, `subset` and `seed` are used.
    source: Of the videos.
    workdir: Gets a directory for each trial, with the list of its training
      videos.

  Raises:
    ConfigError: If there is no such label, split or subset.
    DataError: If a class has no video to train on, or no name.
  """
  divisions = split_names(config, source)
  return [
    trial
    for label in chosen_labels(config, source)
    for fold, splits in divisions.items()
    for trial in _of_division(config, source, workdir, label, fold, splits)
  ]


def _of_division(
  config: ml_collections.ConfigDict,
  source: sources.Source,
  workdir: epath.PathLike,
  label: str,
  fold: str,
  splits: tuple[str, str],
) -> Iterator[Trial]:
  """A trial for each random subset of a split."""
  train, test = splits
  numbers = source.index.split(train)
  names = source.index.labels[label]
  draws = _draws(config.subset)
  known: list[tuple[str, list[int]]] = []
  for draw in range(draws):
    trial = Trial(label, names, fold, draw, draws, train, test, numbers)
    path = epath.Path(workdir) / trial.name / LIST
    stamp = {
      "data_fingerprint": source.index.fingerprint,
      "split": train,
      "label": label,
      "seed": config.seed,
      "subset": dict(config.subset),
    }
    saved = json.loads(files.read_text(path)) if files.exists(path) else {}
    if stamp.items() <= saved.items():
      chosen = np.array([v["record"] for v in saved["videos"]], np.int64)
    else:
      # A test without labels fails now, and not after the training.
      first = int(source.index.split(test)[0])
      parts_of(first, source[first], label)
      known = known or _read(source, numbers, label, config.data, train)
      _check_classes(known, names, label, train)
      rng = np.random.default_rng((config.seed, draw))
      positions = _choose(known, config.subset, label, rng)
      chosen = numbers[positions]
      _write(path, stamp, numbers, known, positions, names)
    yield dataclasses.replace(trial, train=chosen)


def _draws(subset: ml_collections.ConfigDict) -> int:
  if not 0 < subset.fraction <= 1:
    raise ConfigError(
      f"config.subset.fraction={subset.fraction}: use one above 0 and at most 1"
    )
  if subset.shots < 0:
    raise ConfigError(f"config.subset.shots={subset.shots} is negative")
  whole = subset.fraction == 1.0 and not subset.shots
  if subset.draws < 1 or (whole and subset.draws > 1):
    raise ConfigError(
      f"config.subset.draws={subset.draws}: at least 1, and more only of "
      "subsets, with config.subset.fraction below 1 or config.subset.shots"
    )
  if subset.shots and subset.fraction != 1.0:
    raise ConfigError(
      f"config.subset.fraction={subset.fraction} and config.subset.shots="
      f"{subset.shots} exclude each other: set one"
    )
  return subset.draws


def _read(
  source: sources.Source,
  numbers: np.ndarray,
  label: str,
  data: ml_collections.ConfigDict,
  split: str,
) -> list[tuple[str, list[int]]]:
  """The id and the classes of each video."""
  dataset = grain.MapDataset.source(numbers).map(_Classes(source, label))
  # A record of ten seconds has some 200 kB.
  found = loader.read_ahead(dataset, 1 << 18, data.threads, workers=0)
  read = []
  with Progress(len(numbers), "videos", f"labels of {split}") as progress:
    for video in found:
      read.append(video)
      progress.update()
  return read


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
  subset: ml_collections.ConfigDict,
  label: str,
  rng: np.random.Generator,
) -> np.ndarray:
  """Positions of the videos to train on."""
  if subset.fraction == 1.0 and not subset.shots:
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
  numbers: np.ndarray,
  known: list[tuple[str, list[int]]],
  positions: np.ndarray,
  names: Sequence[str],
) -> None:
  """Writes the list of training videos, on process 0."""
  videos = [
    {
      "record": int(numbers[i]),
      "id": known[i][0],
      "classes": [names[number] for number in known[i][1]],
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
