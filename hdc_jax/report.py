"""Metrics, results and pictures of runs → one static HTML page.

  python -m hdc_jax.report RUN [RUN…] --output=DIR

The page holds everything it shows and loads nothing, so it can be mailed, or
opened straight from a bucket. Runs that are still going, or failed, have a page
too: of what is there.
"""

import argparse
import base64
import dataclasses
import json
import mimetypes
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jinja2
from etils import epath

from hdc_jax import config as config_lib
from hdc_jax import curves
from hdc_jax.errors import DataError, HdcError
from hdc_jax.train import metrics

REPORT = "report.html"
_FILES = (metrics.METRICS, metrics.RESULT, metrics.CONFIG)
_TASKS = {
  "pretrain": "pretraining",
  "finetune": "fine-tuning",
  "linear": "linear probe",
  "retrieve": "retrieval",
  "embed": "embedding",
}
_PERCENTAGE = re.compile(r"top(\d+)")


@dataclasses.dataclass(frozen=True)
class Run:
  """What a run's directory holds; what is not there is empty.

  Attributes:
    name: By which the page tells it from the others.
    metrics: The lines of metrics.jsonl.
    result: Of result.json.
    config: Of config.json, by dotted name.
  """

  name: str
  metrics: Sequence[Mapping[str, float]]
  result: Mapping[str, Any]
  config: Mapping[str, Any]

  @property
  def task(self) -> str:
    """In words."""
    task = self.result.get("task") or self.config.get("task") or ""
    return _TASKS.get(task, task)


def write(
  workdir: epath.PathLike,
  *,
  runs: Sequence[epath.PathLike],
  pictures: Sequence[tuple[str, epath.PathLike]] = (),
) -> epath.Path:
  """Writes the page, in one piece. Only process 0 does.

  Args:
    workdir: Gets report.html.
    runs: Directories of the runs to show, next to each other.
    pictures: Title and image file of each.

  Returns:
    The path of the page.

  Raises:
    DataError: If a file of a run is damaged.
  """
  path = epath.Path(workdir) / REPORT
  if jax.process_index() == 0:
    page = render([_read(run, runs) for run in runs], pictures)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / (REPORT + ".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)
  return path


def render(
  runs: Sequence[Run], pictures: Sequence[tuple[str, epath.PathLike]]
) -> str:
  """The HTML of the page."""
  training = {run.name: run.metrics for run in runs if run.metrics}
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader("hdc_jax"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  return environment.get_template("report.html.j2").render(
    headline=_headline(runs),
    runs=[(run, _summary(run), _facts(run)) for run in runs],
    tables=_tables(runs),
    colours=curves.run_colours(training),
    panels=list(curves.panels(training)),
    pictures=[(title, _data_uri(path)) for title, path in pictures],
    config=_compare([run.config for run in runs]),
    versions=_compare([run.result.get("versions", {}) for run in runs]),
  )


def _read(path: epath.PathLike, others: Sequence[epath.PathLike]) -> Run:
  """Reads a run. Its name is as much of its path as tells it from others."""
  path = epath.Path(path).resolve()
  alike = [o for o in others if epath.Path(o).resolve().name == path.name]
  config = path / metrics.CONFIG
  try:
    return Run(
      name=path.name if len(alike) == 1 else f"{path.parent.name}/{path.name}",
      metrics=metrics.read_metrics(path),
      result=metrics.read_result(path),
      config=config_lib.flatten(
        json.loads(config.read_text()) if config.exists() else {}
      ),
    )
  except json.JSONDecodeError as error:
    raise DataError(
      f"{path}: one of {', '.join(_FILES)} is not JSON ({error}): remove it"
    ) from error


def _headline(runs: Sequence[Run]) -> str:
  """What was done, with what: 'HDC pretraining and retrieval with r3d18'."""
  methods, tasks, models = (
    " and ".join(dict.fromkeys(filter(None, names)))
    for names in (
      map(_method, runs),
      [run.task for run in runs],
      [run.config.get("model.name") for run in runs],
    )
  )
  words = (methods, tasks, models and f"with {models}")
  headline = " ".join(filter(None, words)) or ", ".join(r.name for r in runs)
  return headline[0].upper() + headline[1:]


def _method(run: Run) -> str:
  """What a run trained with; an evaluation is of whatever it was given."""
  trained = run.config.get("task") == "pretrain"
  return str(run.config.get("method.name", "")).upper() if trained else ""


def _summary(run: Run) -> str:
  """A line under the name of a run."""
  get = run.config.get
  batch = run.metrics and get("data.batch_size")
  parts = (
    f"{_method(run)} {run.task}".strip(),
    get("model.name"),
    batch and f"{batch} videos a step",
    get("data.path"),
    get("checkpoint") and f"weights of {get('checkpoint')}",
  )
  return " · ".join(filter(None, parts)) or "nothing recorded yet"


def _facts(run: Run) -> Iterator[tuple[str, str]]:
  """The few numbers to see first."""
  if run.metrics:
    last = run.metrics[-1]
    steps = f"{last['step']:,}"
    total = run.config.get("train.steps") or last["step"]
    yield "Steps", steps if last["step"] >= total else f"{steps} of {total:,}"
    losses = [line["loss"] for line in run.metrics if "loss" in line]
    if losses:
      yield "Loss", f"{losses[0]:.2f} → {losses[-1]:.2f}"
  speed = {k: v for m in run.metrics[-1:] for k, v in m.items()} | run.result
  if "clips_per_second" in speed:
    yield "Clips per second", f"{speed['clips_per_second']:,.1f}"
  if "data_wait" in speed:
    yield "Waiting for data", f"{speed['data_wait']:.0%}"
  if "device" in run.result:
    yield "Device", run.result["device"]


def _tables(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
  """A table for each task that has rows; see `_table`."""
  tables = {}
  for run in runs:
    rows = [{"run": run.name} | row for row in run.result.get("rows", ())]
    if rows:
      tables.setdefault(run.task or "results", []).extend(rows)
  return {task: _table(rows) for task, rows in tables.items()}


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """Lays out rows, those with the same label together.

  Returns:
    `heads`, `labelled` if there are labels, and `groups`: each with its label
    and its rows of cells. Of a cell: its text, whether it is a number, how long
    a bar to draw behind it in per cent, and whether it is its group's best.
  """
  columns = list(dict.fromkeys(name for row in rows for name in row))
  texts = {c for c in columns if any(isinstance(r.get(c), str) for r in rows)}
  if len({row["run"] for row in rows}) == 1:
    columns.remove("run")
  # Names are for scripts: shown only if nothing else tells rows apart.
  others = [c for c in columns if c in texts - {"name"}]
  if len({tuple(row.get(c) for c in others) for row in rows}) == len(rows):
    columns = [c for c in columns if c != "name"]
  columns = [c for c in columns if c != "label"]
  groups = {}
  for row in rows:
    groups.setdefault(row.get("label"), []).append(row)

  def cell(row: Mapping[str, Any], column: str) -> tuple[Any, ...]:
    value = row.get(column)
    if value is None or not _PERCENTAGE.fullmatch(column):
      return _text(value), column not in texts, None, False
    rivals = [other.get(column) or 0 for other in groups[row.get("label")]]
    best = len(rivals) > 1 and value == max(rivals)
    return _text(value), True, value, best

  heads = [
    (_PERCENTAGE.sub(r"top-\1 %", c).replace("_", " "), c not in texts)
    for c in columns
  ]
  return {
    "labelled": any(label is not None for label in groups),
    "heads": heads,
    "groups": [
      (label, [[cell(row, c) for c in columns] for row in members])
      for label, members in groups.items()
    ],
  }


def _text(value: Any) -> str:
  """A value of a row as people write it: one decimal, thousands set apart."""
  if value is None:
    return "–"
  if isinstance(value, float):
    return f"{value:,.1f}"
  return f"{value:,}" if type(value) is int else str(value)


def _setting(value: Any) -> str:
  """A value of a config, exactly."""
  return value if isinstance(value, str) else json.dumps(value)


def _compare(
  columns: Sequence[Mapping[str, Any]],
) -> list[tuple[str, list[str], bool]]:
  """A row for every name: its value in each column, and whether they differ."""
  rows = []
  for name in dict.fromkeys(name for column in columns for name in column):
    values = [c[name] for c in columns if name in c]
    shown = [_setting(c[name]) if name in c else "–" for c in columns]
    differ = any(value != values[0] for value in values)
    rows.append((name, shown, differ))
  return rows


def _data_uri(path: epath.PathLike) -> str:
  """A file as a URI that holds it."""
  path = epath.Path(path)
  kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
  return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def main(argv: Sequence[str] | None = None) -> int:
  """Writes the page of some runs.

  Returns:
    The exit code, see `errors`.
  """
  parser = argparse.ArgumentParser(
    prog="python -m hdc_jax.report",
    description="Writes report.html: curves, results and pictures of runs.",
  )
  parser.add_argument(
    "runs",
    metavar="RUN",
    nargs="+",
    help="directory of a run (its --workdir); several are compared",
  )
  parser.add_argument(
    "--output", metavar="DIR", required=True, help="gets report.html"
  )
  options = parser.parse_args(argv)
  # A report needs no accelerator, and must not wait for one that trains.
  jax.config.update("jax_platforms", "cpu")
  try:
    pictures = [p for run in options.runs for p in _pictures_of(run)]
    print(write(options.output, runs=options.runs, pictures=pictures))
  except HdcError as error:
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code
  return 0


def _pictures_of(run: epath.PathLike) -> Iterable[tuple[str, epath.Path]]:
  """The pictures in the directory of a run, titled by their file names.

  Raises:
    DataError: If it is not the directory of a run.
  """
  path = epath.Path(run)
  if not any((path / name).exists() for name in _FILES):
    raise DataError(
      f"{run} is not the directory of a run: it has no {', '.join(_FILES)}"
    )
  pictures = sorted(path.glob("*.png"))
  return [(re.sub("[-_]", " ", p.stem).capitalize(), p) for p in pictures]


if __name__ == "__main__":
  sys.exit(main())
