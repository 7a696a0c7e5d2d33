"""The list of runs below a directory."""

import json
import os
import subprocess
import sys

import pytest

from hdc_jax.errors import DataError
from hdc_jax.report import command
from hdc_jax.runs import listing
from hdc_jax.runtime import locks

CONFIG = {
  "task": "pretrain",
  "method": {"name": "hdc"},
  "model": {"name": "r3d18"},
  "train": {"steps": 20},
}


def write(path, steps=0, result=None, probe=None, **config):
  """Writes the directory of a run, whose loss falls by 1 with each step."""
  path.mkdir(parents=True)
  (path / "config.json").write_text(json.dumps(CONFIG | config))
  lines = [{"step": s, "loss": 10.0 - s} for s in range(1, steps + 1)]
  if probe:
    lines.append({"step": steps} | probe)
  text = "".join(json.dumps(line) + "\n" for line in lines)
  (path / "metrics.jsonl").write_text(text)
  if result is not None:
    (path / "result.json").write_text(json.dumps(result))


def lock(path, pid):
  """Leaves the lock that a process of this host has, or had."""
  with locks.locked(path, "--workdir"):
    holder = json.loads((path / locks.LOCK).read_text())
  (path / locks.LOCK).write_text(json.dumps(holder | {"pid": pid}))


@pytest.fixture
def lost():
  """The number of a process that has ended."""
  process = subprocess.Popen([sys.executable, "-c", ""])
  process.wait()
  return process.pid


def test_states(tmp_path, lost):
  done = {"task": "pretrain", "steps": 20}
  write(tmp_path / "done", 20, done)
  write(tmp_path / "longer", 20, done, train={"steps": 40})
  write(tmp_path / "stopped", 5)
  write(tmp_path / "damaged")
  (tmp_path / "damaged" / "result.json").write_text("{")
  for name, pid in (("running", os.getpid()), ("killed", lost)):
    write(tmp_path / name, 5)
    lock(tmp_path / name, pid)
  found = {run.run: run for run in listing.find(tmp_path)}
  assert {name: run.state for name, run in found.items()} == {
    "done": "done",
    "longer": "stopped",
    "stopped": "stopped",
    "damaged": "damaged",
    "running": "running",
    "killed": "stopped",
  }
  assert found["done"].steps == "20/20"
  assert found["longer"].steps == "20/40"
  assert found["running"].model == "hdc r3d18"


def test_the_best_is_first(tmp_path):
  for name, top1 in (("a", 30.0), ("b", 50.0), ("c", None)):
    row = {"name": "x/trained", "label": "x", "network": "trained"}
    rows = [row | {"top1": top1, "knn": 1.0}] if top1 else []
    result = {"task": "retrieve", "rows": rows}
    write(tmp_path / name, result=result, task="retrieve")
  for name, steps in (("d", 2), ("e", 4)):
    write(tmp_path / name, steps)
  probed = {"probe/x/block4/knn": 9.0, "probe/x/block5/knn": 7.0}
  write(tmp_path / "f", 3, probe=probed)
  assert [(r.run, r.figure, r.value) for r in listing.find(tmp_path)] == [
    ("e", "loss", 6.0),
    ("d", "loss", 8.0),
    ("f", "probe/x/block5/knn", 7.0),
    ("b", "x trained top1", 50.0),
    ("a", "x trained top1", 30.0),
    ("c", "", None),
  ]


def test_trials_and_datasets_are_no_runs(tmp_path):
  write(tmp_path / "finetuned", task="finetune")
  write(tmp_path / "finetuned" / "class-split1", 5, task="finetune")
  write(tmp_path / "table", task="tables")
  write(tmp_path / "table" / "pretrain" / "hdc", 5)
  write(tmp_path / "data" / "x", 5)
  (tmp_path / "data" / "index.json").write_text("{}")
  runs = [run.run for run in listing.find(tmp_path)]
  assert sorted(runs) == ["finetuned", "table", "table/pretrain/hdc"]


def test_command(tmp_path, capsys):
  write(tmp_path / "runs" / "first", 5)
  assert command.main([str(tmp_path / "runs")]) == 0
  head, line = capsys.readouterr().out.splitlines()
  assert head.split()[:4] == ["run", "task", "model", "state"]
  assert line.split() == [
    *("first", "pretrain", "hdc", "r3d18", "stopped", "5/20", "loss", "5.0")
  ]


def test_no_runs(tmp_path, capsys):
  assert command.main([str(tmp_path)]) == DataError.exit_code
  assert (
    capsys.readouterr().err == f"error: {tmp_path}: there is no run in it\n"
  )
