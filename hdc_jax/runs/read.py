"""Reads the files in directories of runs, for reports."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from hdc_jax.errors import DataError
from hdc_jax.options import identity
from hdc_jax.runs import metrics, predictions, results
from hdc_jax.runs.predictions import ClassScores
from hdc_jax.runs.trackers import tracking
from hdc_jax.runtime import files

_FILES = (metrics.METRICS, results.RESULT, results.CONFIG)
_TASKS = {
  "pretrain": "pretraining",
  "finetune": "fine-tuning",
  "linear": "linear probe",
  "attentive": "attentive probe",
  "retrieve": "retrieval",
  "bias": "scene-bias test",
  "embed": "embedding",
  "preview": "views",
  "tables": "tables of the paper",
}


@dataclasses.dataclass(frozen=True)
class Run:
  """The content of a run's directory; fields of missing files are empty.

  Attributes:
    name: Name of the run, unique within the report.
    metrics: Lines of metrics.jsonl.
    trials: Lines of the metrics.jsonl of each directory one level below, by
      its name.
    result: Content of result.json.
    config: Content of config.json, by dotted name.
    predictions: Predictions of all folds and subsets, by label.
    pictures: Title and path of each picture.
    places: Where the run, and each of its trials, is seen in a tracker: a link
      or a command, by the name of the tracker.
  """

  name: str
  metrics: Sequence[Mapping[str, float]]
  trials: Mapping[str, Sequence[Mapping[str, float]]]
  result: Mapping[str, Any]
  config: Mapping[str, Any]
  predictions: Mapping[str, Sequence[ClassScores]]
  pictures: Sequence[tuple[str, epath.Path]]
  places: Mapping[str, str]

  @property
  def task(self) -> str:
    """The task in words, such as 'pretraining'."""
    task = self.result.get("task") or self.config.get("task") or ""
    return _TASKS.get(task, task)


def check(directory: epath.PathLike) -> None:
  """Raises DataError if this is not the directory of a run."""
  path = epath.Path(directory)
  if not any(files.exists(path / name) for name in _FILES):
    raise DataError(
      f"{directory} is not the directory of a run: it has no "
      f"{', '.join(_FILES)}"
    )


def read(directories: Sequence[epath.PathLike]) -> list[Run]:
  """Reads runs, also those that are in progress or have not begun.

  Metrics, predictions and pictures may be one level below a run's directory, as
  they are where a run has several trials.

  Args:
    directories: Directories of the runs.

  Returns:
    The runs, in the same order.

  Raises:
    DataError: If a file is damaged.
  """
  paths = [files.absolute(directory) for directory in directories]
  return [_read(path, paths) for path in paths]


def _read(path: epath.Path, paths: Sequence[epath.Path]) -> Run:
  """Reads the run at a path.

  Args:
    path: Directory of the run.
    paths: Directories of all runs of the report, for a unique name.
  """
  alike = [other for other in paths if other.name == path.name]
  # Files in the directory of another run belong to that run.
  others = {*paths} - {path}
  by_pattern = {
    pattern: [
      file
      for place in (pattern, f"*/{pattern}")
      for file in sorted(path.glob(place))
      if file.parent not in others
    ]
    for pattern in (
      metrics.METRICS,
      predictions.PREDICTIONS,
      tracking.TRACKERS_FILE,
      "*.png",
    )
  }
  return Run(
    name=path.name if len(alike) == 1 else f"{path.parent.name}/{path.name}",
    metrics=metrics.read_metrics(path),
    trials={
      file.parent.name: metrics.read_metrics(file.parent)
      for file in by_pattern[metrics.METRICS]
      if file.parent != path
    },
    result=results.read_result(path),
    config=identity.flatten(results.read_config(path)),
    predictions=_by_label(by_pattern[predictions.PREDICTIONS]),
    pictures=[(_title(file, path), file) for file in by_pattern["*.png"]],
    places=dict(_places(by_pattern[tracking.TRACKERS_FILE], path)),
  )


def _places(
  paths: Sequence[epath.Path], run: epath.Path
) -> Iterator[tuple[str, str]]:
  """Yields the name of each tracker, with that of a trial, and its place."""
  for file in paths:
    trial = "" if file.parent == run else f" · {file.parent.name}"
    for name, known in tracking.read_known(file.parent).items():
      if known["place"]:
        yield name + trial, known["place"]


def _by_label(paths: Sequence[epath.Path]) -> dict[str, list[ClassScores]]:
  """Reads files of predictions.

  Returns:
    The predictions of all files, by label.

  Raises:
    DataError: If a file is damaged, or two files of one label have different
      classes.
  """
  by_label: dict[str, list[ClassScores]] = {}
  for file in paths:
    loaded = ClassScores.load(file)
    alike = by_label.setdefault(loaded.label, [])
    if alike and list(alike[0].names) != list(loaded.names):
      raise DataError(
        f"{file}: its classes of {loaded.label!r} are not those of the other "
        f"{predictions.PREDICTIONS} of this run: remove those of another task"
      )
    alike.append(loaded)
  return by_label


def _title(file: epath.Path, run: epath.Path) -> str:
  """The title of a picture: 'Neighbours · motion · split1'."""
  words = file.stem.replace("_", " ").split("-")
  if file.parent != run:
    words.append(file.parent.name)
  title = " · ".join(words)
  return title[:1].upper() + title[1:]
