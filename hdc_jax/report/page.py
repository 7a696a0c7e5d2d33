"""The report of some runs: their metrics, results and pictures, as HTML.

The page contains everything it shows and loads nothing, so it can be mailed, or
opened directly from a bucket. Runs in progress, or failed ones, have a page
too, which shows the files that exist.
"""

import collections
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jinja2
import markupsafe
import numpy as np
from etils import epath

from hdc_jax.report.figures import (
  confusion,
  curves,
  pictures,
  probes,
  tables,
)
from hdc_jax.runs import goodput
from hdc_jax.runs import read as runs_lib
from hdc_jax.runs.metrics import PROBE
from hdc_jax.runs.predictions import Predictions
from hdc_jax.runs.read import Run
from hdc_jax.runs.text_table import describe_left_out
from hdc_jax.runtime import files

REPORT = "report.html"
_LINK = markupsafe.Markup('<a href="{0}">{0}</a>')
# Titles of the groups of curves.
_GROUPS = {
  "": "Training, by step",
  PROBE: "Online probe, by step",
  "health": "Health of the embeddings, by step",
}


def write(
  workdir: epath.PathLike,
  *,
  runs: Sequence[epath.PathLike],
) -> epath.Path:
  """Writes the page of some runs, whole or not at all, on process 0.

  Args:
    workdir: Directory that gets report.html.
    runs: Directories of the runs, which are shown next to each other.

  Returns:
    The path of the page.

  Raises:
    DataError: If a file of a run is damaged.
  """
  path = epath.Path(workdir) / REPORT
  if jax.process_index() == 0:
    page = render(runs_lib.read(runs))
    files.write(path, page.encode())
  return path


def render(runs: Sequence[Run]) -> str:
  """Renders the page of some runs as HTML."""
  training = _training(runs)
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader("hdc_jax.report"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  return environment.get_template("report.html.j2").render(
    headline=_headline(runs),
    runs=[(run, _summary(run), _facts(run)) for run in runs],
    tables=_tables(runs),
    classified=list(_classified(runs)),
    colours=curves.run_colours(training),
    panels=_by_group([*probes.panels(training), *curves.panels(training)]),
    pictures=_pictures(runs),
    config=_compare([run.config for run in runs]),
    versions=_compare([run.result.get("versions", {}) for run in runs]),
  )


def _training(
  runs: Sequence[Run],
) -> dict[str, Sequence[Mapping[str, float]]]:
  """The metrics of all runs and their trials, by unique names."""
  training = {run.name: run.metrics for run in runs if run.metrics}
  names = collections.Counter(name for run in runs for name in run.trials)
  for run in runs:
    for name, lines in run.trials.items():
      clash = names[name] > 1 or name in training
      training[f"{run.name}/{name}" if clash else name] = lines
  return training


def _by_group(
  panels: Iterable[curves.Panel],
) -> dict[str, list[curves.Panel]]:
  """The panels of each group, by its title."""
  grouped: dict[str, list[curves.Panel]] = {}
  for panel in panels:
    title = _GROUPS.get(panel.group, panel.group.capitalize())
    grouped.setdefault(title, []).append(panel)
  return grouped


def _headline(runs: Sequence[Run]) -> str:
  """The heading, such as 'HDC pretraining and retrieval with r3d18'."""
  methods, tasks, models = (
    _and(dict.fromkeys(filter(None, names)))
    for names in (
      map(_method, runs),
      [run.task for run in runs],
      [run.config.get("model.name") for run in runs],
    )
  )
  words = [methods, tasks, f"with {models}" if models else ""]
  headline = " ".join(filter(None, words)) or ", ".join(r.name for r in runs)
  return headline[0].upper() + headline[1:]


def _and(words: Iterable[str]) -> str:
  """Joins words: 'a', 'a and b', 'a, b and c'."""
  *rest, last = words or [""]
  return f"{', '.join(rest)} and {last}" if rest else last


def _method(run: Run) -> str:
  """The method of a pretraining or of a preview; empty for other runs."""
  by_method = run.config.get("task") in ("pretrain", "preview")
  return str(run.config.get("method.name", "")).upper() if by_method else ""


def _summary(run: Run) -> str:
  """The line under the name of a run."""
  get = run.config.get
  parts = [
    f"{_method(run)} {run.task}".strip(),
    get("model.name"),
    get("data.path"),
    f"weights of {get('checkpoint')}" if get("checkpoint") else "",
  ]
  if run.metrics and get("data.batch_size"):
    parts.insert(2, f"{get('data.batch_size')} videos a step")
  parts += run.result.get("warnings", [])
  parts += describe_left_out(run.result)
  return " · ".join(filter(None, parts)) or "nothing recorded yet"


def _facts(run: Run) -> Iterator[tuple[str, str]]:
  """Yields names and values of the key figures at the top of a run."""
  if run.metrics:
    last = run.metrics[-1]
    steps = f"{last['step']:,}"
    total = run.config.get("train.steps") or last["step"]
    yield "Steps", steps if last["step"] >= total else f"{steps} of {total:,}"
    if "health" in run.result:
      yield "Health", run.result["health"]
    losses = [line["loss"] for line in run.metrics if "loss" in line]
    if losses:
      yield "Loss", f"{losses[0]:.2f} → {losses[-1]:.2f}"
  # What the online probe measures is in lines of its own.
  last = dict(item for line in run.metrics for item in line.items())
  speed: dict[str, Any] = {**last, **run.result}
  if "clips_per_second" in speed:
    yield "Clips per second", f"{speed['clips_per_second']:,.1f}"
  if "data_wait" in speed:
    yield "Waiting for data", f"{speed['data_wait']:.0%}"
  if "goodput" in run.result:
    spent = run.result["goodput"]
    yield "Goodput", f"{spent['share']:.0%}"
    yield "Time lost to", goodput.describe_losses(spent) or "nothing"
  if "device" in run.result:
    yield "Device", run.result["device"]
  for tracker, place in run.places.items():
    yield tracker, _LINK.format(place) if _is_link(place) else place


def _is_link(place: str) -> bool:
  """Whether a place is the address of a page, and not a command."""
  return place.startswith(("https://", "http://"))


def _tables(runs: Sequence[Run]) -> dict[str, tables.Table]:
  """A table for each task that has rows."""
  rows: dict[str, list[Mapping[str, Any]]] = {}
  for run in runs:
    named = [{"run": run.name} | row for row in run.result.get("rows", ())]
    if named:
      rows.setdefault(run.task or "results", []).extend(named)
  return {task: tables.make(each) for task, each in rows.items()}


def _classified(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
  """Yields the confusion matrix of each run and label, summed over folds."""
  for run in runs:
    for label, all_splits in run.predictions.items():
      # A tag has no confusion matrix, as a video shows any number of classes.
      splits = [each for each in all_splits if isinstance(each, Predictions)]
      if not splits:
        continue
      names = splits[0].names.tolist()
      matrix = np.sum([split.confusion() for split in splits], axis=0)
      yield {
        "run": run.name,
        "label": label,
        "count": int(matrix.sum()),
        "accuracy": 100.0 * matrix.trace() / matrix.sum(),
        "figure": confusion.figure(matrix, names),
        "confused": confusion.confused(matrix, names),
        "classes": confusion.per_class(matrix, names),
      }


def _pictures(runs: Sequence[Run]) -> list[tuple[str, str, markupsafe.Markup]]:
  """Title, run and element of each picture; no run if only one has any."""
  several = sum(bool(run.pictures) for run in runs) > 1
  return [
    (
      title,
      run.name if several else "",
      pictures.element(files.read(path), title),
    )
    for run in runs
    for title, path in run.pictures
  ]


def _setting(value: Any) -> str:
  """A value of a config as text, without rounding."""
  return value if isinstance(value, str) else json.dumps(value)


def _compare(
  columns: Sequence[Mapping[str, Any]],
) -> list[tuple[str, list[str], bool]]:
  """Compares settings of runs.

  Args:
    columns: Settings of each run by name.

  Returns:
    For every name: the name, its value in each column, and whether they differ.
  """
  rows = []
  for name in dict.fromkeys(name for column in columns for name in column):
    values = [c[name] for c in columns if name in c]
    shown = [_setting(c[name]) if name in c else "–" for c in columns]
    differ = any(value != values[0] for value in values)
    rows.append((name, shown, differ))
  return rows
