"""Lists the runs below a directory: what each is, its state, its figures."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath

from hdc_jax.errors import HdcError
from hdc_jax.options import identity
from hdc_jax.runs import metrics, results
from hdc_jax.runtime import buckets, files, locks

RUNNING, DONE, STOPPED, DAMAGED = "running", "done", "stopped", "damaged"
# The file that every prepared dataset has, see `data.store.index`.
_INDEX = "index.json"
# A directory with one of these files holds a run.
_MARKS = (results.CONFIG, results.RESULT, metrics.METRICS)
# Columns of a row of a result that say what it is of, and not how good.
_ABOUT = ("label", "network", "endpoint", "condition", "split", "draw")


@dataclasses.dataclass(frozen=True)
class Listed:
  """A run in a list.

  Attributes:
    run: Its directory, as it is found below the one that is listed.
    task: Name of the task.
    model: Method and backbone.
    state: `RUNNING` while a process has the lock of the directory; `DONE` with
      a result; `STOPPED` without one; `DAMAGED` if its files cannot be read. In
      a bucket, which has no locks, running runs are called stopped.
    steps: Steps that were taken, and those of the whole run; '' of tasks that
      take none.
    figure: The figure by which runs of a task are sorted, of the first row of
      the result: its name, such as 'motion top1'. Of a pretraining, the last
      measurement of the online probe at the last block, or the loss.
    value: Its value; None if there is none yet.
  """

  run: str
  task: str
  model: str
  state: str
  steps: str = ""
  figure: str = ""
  value: float | None = None

  def row(self) -> dict[str, Any]:
    """The row of a table, see `text_table.format_rows`."""
    return {k: v for k, v in vars(self).items() if v is not None}


def find(directory: epath.PathLike) -> list[Listed]:
  """Finds the runs below a directory, and in it.

  Args:
    directory: The directory, which may itself be that of a run. Trials of a run
      are not listed by themselves, nor what is in a prepared dataset.

  Returns:
    The runs, those of a task together, the best figure first.
  """
  root = files.absolute(directory)
  found = [_describe(path, root) for path in _runs(root)]

  def order(run: Listed) -> tuple[Any, ...]:
    best = -run.value if run.value is not None else 0.0
    best = -best if run.figure == "loss" else best
    return run.task, run.value is None, run.figure, best, run.run

  return sorted(found, key=order)


def _runs(path: epath.Path) -> Iterator[epath.Path]:
  """Yields the directories of runs."""
  if files.exists(path / _INDEX):
    return
  is_run = any(files.exists(path / name) for name in _MARKS)
  if is_run:
    yield path
  if not is_run or _read(path / results.CONFIG).get("task") == "tables":
    for below in sorted(path.iterdir()):
      if below.is_dir() and not below.name.startswith("."):
        yield from _runs(below)


def _describe(path: epath.Path, root: epath.Path) -> Listed:
  """Describes the run in a directory."""
  name = path.name if path == root else path.relative_to(root).as_posix()
  config = identity.flatten(_read(path / results.CONFIG))
  try:
    result = results.read_result(path)
    lines = metrics.read_metrics(path)
    task = str(result.get("task") or config.get("task") or "")
    words = [config.get("method.name"), config.get("model.name")]
    model = " ".join(str(word) for word in words if word)
    steps = max((int(line["step"]) for line in lines), default=0)
    total = config.get("train.steps")
    figure, value = _figure(result, lines)
  except (HdcError, OSError, ValueError, TypeError, LookupError):
    return Listed(name, str(config.get("task") or ""), "", DAMAGED)
  running = not buckets.is_remote(path) and locks.is_locked(path)
  shown = f"{steps:,}/{total:,}" if total and task == "pretrain" else ""
  is_done = bool(result) and (not shown or steps >= (total or 0))
  state = RUNNING if running else DONE if is_done else STOPPED
  return Listed(name, task, model, state, shown, figure, value)


def _figure(
  result: Mapping[str, Any], lines: list[dict[str, float]]
) -> tuple[str, float | None]:
  """The figure by which a run is sorted, and its value."""
  for row in result.get("rows", ()):
    values = {k: v for k, v in row.items() if isinstance(v, float)}
    if values:
      name, value = next(iter(values.items()))
      about = [row[k] for k in _ABOUT if isinstance(row.get(k), str)]
      return " ".join([*about, name]).replace("_", " "), value
  probed = {
    name: value
    for line in lines
    for name, value in line.items()
    if name.startswith(f"{metrics.PROBE}/") and "/block" in name
  }
  if probed:
    name = max(probed, key=lambda n: n.split("/")[-2])  # the first of block5
    return name, probed[name]
  losses = [line["loss"] for line in lines if "loss" in line]
  return ("loss", losses[-1]) if losses else ("", None)


def _read(path: epath.Path) -> dict[str, Any]:
  """Reads a JSON file; returns {} if it is missing or damaged."""
  try:
    value = json.loads(files.read_text(path)) if files.exists(path) else {}
  except (HdcError, OSError, ValueError):
    return {}
  return value if isinstance(value, dict) else {}
