"""Runs of a study: each prepares, trains, measures, and becomes one record."""

import csv
import json
import pathlib
import re
import shutil
from typing import Any

from benchmarks import measure as timing
from benchmarks.evidence import measuring
from benchmarks.evidence.studies import ROWS, STUDIES, Row, Study, Variant
from configs import tiny
from hdc_jax.data import sources
from hdc_jax.data.store import index
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.prepare import command as prepare
from hdc_jax.tasks import finetune, pretrain

_FILE = re.compile(r"set(\d)_seq(\d+)_")  # of a video of UT-Interaction

Record = dict[str, Any]


class Runs:
  """The runs of studies under a directory, and their records.

  A run whose record exists is not repeated. A run that was interrupted goes on
  at its last checkpoint.
  """

  def __init__(self, records: str, workdir: str, videos: str = "") -> None:
    """Names the places; nothing is read or written yet.

    Args:
      records: Directory of the records, a file of JSON lines for each study.
      workdir: Directory of datasets and runs.
      videos: Directory of UT-Interaction, for the study `real`.
    """
    self._records = pathlib.Path(records)
    self._workdir, self._videos = pathlib.Path(workdir), videos

  def run(self, study: str, variant: str, row: str, seed: int) -> bool:
    """Runs one row, unless it has a record.

    Args:
      study: Name of the study.
      variant: Name of its variant.
      row: Name of the row.
      seed: Seed of the pretraining.

    Returns:
      Whether there was something to run.

    Raises:
      HdcError: If the run fails.
    """
    name = {"study": study, "variant": variant, "row": row, "seed": seed}
    made = settings(study, variant, row)
    for record in read(self._records, study):
      if name.items() <= record.items() and record["settings"] == made:
        return False
    data = self._prepare(STUDIES[study], STUDIES[study].variants[variant])
    place = [study, variant.replace(" ", "_"), row.replace(" ", "_"), str(seed)]
    directory = self._workdir.joinpath("runs", *filter(None, place))
    source = sources.open(data, 0)
    details = {
      "settings": made,
      "data_fingerprint": source.index.fingerprint,
      "videos": {n: len(source.index.split(n)) for n in source.index.splits},
      "device": timing.device(),
      "versions": timing.versions("jax", "jaxlib", "flax", "optax"),
    }
    self._records.mkdir(parents=True, exist_ok=True)
    sheet = None
    if row in STUDIES[study].pictured and (variant, seed) == ("", 0):
      sheet = sheet_path(self._records, study, row)
    measured = _train_and_measure(
      study, variant, row, seed, data, directory, sheet
    )
    with open(self._records / f"{study}.jsonl", "a", encoding="utf-8") as file:
      file.write(json.dumps(name | details | measured) + "\n")
    shutil.rmtree(directory, ignore_errors=True)
    return True

  def _prepare(self, study: Study, variant: Variant) -> str:
    """Prepares the dataset of a variant; returns its directory."""
    arguments = [*study.prepare, *variant.prepare]
    if not arguments:
      arguments = ["--dataset=table", f"--source={self._videos}"]
      arguments += [f"--table={self._list_real()}", "--short_side=48"]
    name = "-".join(re.sub(r"\W+", "_", a.strip("-")) for a in arguments[1:])
    data = self._workdir / "data" / (name if study.prepare else "real")
    # Its name has its arguments, and its index is written last. So processes
    # that share the work need not wait for each other to see that it is there.
    if not (data / index.INDEX).exists():
      code = prepare.main([*arguments, f"--output={data}"])
      if code:
        raise DataError(f"{data} could not be prepared: see above")
    return str(data)

  def _list_real(self) -> pathlib.Path:
    """Writes the table of UT-Interaction, from the names of its files."""
    if not self._videos:
      raise ConfigError("--videos: name the directory of UT-Interaction")
    rows = []
    for path in sorted(pathlib.Path(self._videos).glob("*/*.avi")):
      found = _FILE.match(path.name)
      if not found:
        raise DataError(f"{path} is not named as videos of UT-Interaction are")
      scene, sequence = found.groups()
      rows.append(
        {
          "path": f"{path.parent.name}/{path.name}",
          "split": "train",
          "group": sequence,
          "action": path.parent.name,
          "scene": f"set{scene}",
        }
      )
    if not rows:
      raise DataError(f"--videos={self._videos} has no videos */set*.avi")
    table = self._workdir / "data" / "ut_interaction.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    with open(table, "w", encoding="utf-8", newline="") as file:
      writer = csv.DictWriter(file, rows[0])
      writer.writeheader()
      writer.writerows(rows)
    return table


def settings(study: str, variant: str, row: str) -> Record:
  """Everything that decides the result of a run but its seed and versions.

  Args:
    study: Name of the study.
    variant: Name of its variant.
    row: Name of the row.
  """
  made, part, what = STUDIES[study], STUDIES[study].variants[variant], ROWS[row]
  return json.loads(
    json.dumps(
      {
        "prepare": [*made.prepare, *part.prepare],
        "method": what.method,
        "label": what.label,
        "fields": {**made.changes, **part.changes, **what.changes},
        "group": made.group,
      }
    )
  )


def sheet_path(records: pathlib.Path, study: str, row: str) -> pathlib.Path:
  """The picture of the nearest neighbours that a row finds.

  Args:
    records: Directory of the records.
    study: Name of the study.
    row: Name of the row.
  """
  return records / f"neighbours-{study}-{row.replace('@', '')}.png"


def read(records: str | pathlib.Path, study: str) -> list[Record]:
  """Reads the records of a study, in the order in which they were made.

  Args:
    records: Directory of the records.
    study: Name of the study.
  """
  path = pathlib.Path(records) / f"{study}.jsonl"
  if not path.exists():
    return []
  return [json.loads(line) for line in path.read_text().splitlines()]


def _train_and_measure(
  study: str,
  variant: str,
  row: str,
  seed: int,
  data: str,
  directory: pathlib.Path,
  sheet: pathlib.Path | None,
) -> Record:
  """Trains a row, and measures its network at every endpoint."""
  what, made = ROWS[row], STUDIES[study]
  changes = {**made.changes, **made.variants[variant].changes, **what.changes}
  task = finetune if what.label else pretrain
  config = _config(task.TASK.name, what, changes, data, seed)
  if what.label:
    config.data.labels, config.test.clips = (what.label,), 1
    result = finetune.run(config, str(directory / "train"))
    top1 = result["rows"][0]["top1"]
    return {"trained": {what.label: {"": {"top1": top1}}}}
  result = pretrain.run(config, str(directory / "train"))
  search = _config("retrieve", what, changes, data, seed)
  search.checkpoint = str(directory / "train")
  search.test.clips = 1
  if made.group:
    search.test.split, search.test.exclude = "train", "group"
  sheets = {made.motion: sheet} if sheet else {}
  return measuring.measure(search, sheets) | {
    "health": measuring.watch(config, str(directory / "train")),
    "speed": {"clips_per_second": result["clips_per_second"]},
  }


def _config(
  task: str, row: Row, changes: dict[str, Any], data: str, seed: int
) -> Any:
  """The config of a task for a row, with those changes that it has."""
  method = row.method or "hdc"
  config = tiny.get_config(f"method={method},task={task}")
  for name, value in {**changes, "data.path": data, "seed": seed}.items():
    section, _, field = name.rpartition(".")
    fields: Any = config.get(section, config)
    if field in fields:
      config.update_from_flattened_dict({name: value})
  return config
