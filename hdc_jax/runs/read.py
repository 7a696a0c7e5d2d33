"""What a run has left in its directory, read for a report."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from hdc_jax.errors import DataError
from hdc_jax.options import identity
from hdc_jax.runs import metrics, predictions
from hdc_jax.runs.predictions import Predictions
from hdc_jax.runtime import files

_FILES = (metrics.METRICS, metrics.RESULT, metrics.CONFIG)
_TASKS = {
  "pretrain": "pretraining",
  "finetune": "fine-tuning",
  "linear": "linear probe",
  "retrieve": "retrieval",
  "embed": "embedding",
  "tables": "tables of the paper",
}


@dataclasses.dataclass(frozen=True)
class Run:
  """What a run's directory holds; what is not there is empty.

  Attributes:
    name: By which the page tells it from the others.
    metrics: The lines of metrics.jsonl.
    trials: The same of each of several trainings one level below, by name.
    result: Of result.json.
    config: Of config.json, by dotted name.
    predictions: Those of all splits, by the label that they are of.
    pictures: Title and file of each.
  """

  name: str
  metrics: Sequence[Mapping[str, float]]
  trials: Mapping[str, Sequence[Mapping[str, float]]]
  result: Mapping[str, Any]
  config: Mapping[str, Any]
  predictions: Mapping[str, Sequence[Predictions]]
  pictures: Sequence[tuple[str, epath.Path]]

  @property
  def task(self) -> str:
    """In words."""
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
  """Reads runs, also some that are still going, or have not begun.

  Metrics, predictions and pictures may be one level below a run's directory,
  for each of several splits, say.

  Raises:
    DataError: If a file is damaged.
  """
  paths = [files.absolute(directory) for directory in directories]
  return [_read(path, paths) for path in paths]


def _read(path: epath.Path, paths: Sequence[epath.Path]) -> Run:
  """Reads a run. Its name is as much of its path as tells it from others."""
  alike = [other for other in paths if other.name == path.name]
  config = path / metrics.CONFIG
  # What lies in another run's directory is that run's.
  others = {*paths} - {path}
  found = {
    pattern: [
      file
      for place in (pattern, f"*/{pattern}")
      for file in sorted(path.glob(place))
      if file.parent not in others
    ]
    for pattern in (metrics.METRICS, predictions.PREDICTIONS, "*.png")
  }
  try:
    return Run(
      name=path.name if len(alike) == 1 else f"{path.parent.name}/{path.name}",
      metrics=metrics.read_metrics(path),
      trials={
        file.parent.name: metrics.read_metrics(file.parent)
        for file in found[metrics.METRICS]
        if file.parent != path
      },
      result=metrics.read_result(path),
      config=identity.flatten(
        json.loads(files.read_text(config)) if files.exists(config) else {}
      ),
      predictions=_by_label(found[predictions.PREDICTIONS]),
      pictures=[(_title(file, path), file) for file in found["*.png"]],
    )
  except json.JSONDecodeError as error:
    raise DataError(
      f"{path}: one of {', '.join(_FILES)} is not JSON ({error}): remove it"
    ) from error


def _by_label(files: Sequence[epath.Path]) -> dict[str, list[Predictions]]:
  """Reads files of predictions.

  Raises:
    DataError: If one is damaged, or two of a label are of other classes.
  """
  found = {}
  for file in files:
    loaded = Predictions.load(file)
    alike = found.setdefault(loaded.label, [])
    if alike and list(alike[0].names) != list(loaded.names):
      raise DataError(
        f"{file}: its classes of {loaded.label!r} are not those of the other "
        f"{predictions.PREDICTIONS} of this run: remove those of another task"
      )
    alike.append(loaded)
  return found


def _title(file: epath.Path, run: epath.Path) -> str:
  """'split1/neighbours-motion.png' → 'Neighbours · motion · split1'."""
  words = file.stem.replace("_", " ").split("-")
  if file.parent != run:
    words.append(file.parent.name)
  title = " · ".join(words)
  return title[:1].upper() + title[1:]
