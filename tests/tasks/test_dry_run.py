"""What a command would run and cost, without running it."""

import json

import jax
import numpy as np
import pytest

from hdc_jax import main
from hdc_jax.config import files
from hdc_jax.options import identity
from hdc_jax.tasks import dry_run, tables
from hdc_jax.tasks import table_rows as jobs_lib
from hdc_jax.tasks.costs import Cost
from hdc_jax.train import flops as flops_lib
from tests.tasks import planning


@pytest.mark.slow
def test_a_dry_run_prints_and_writes_nothing(tmp_path, quick, capsys):
  flags = [
    *planning.flags(3),
    "--config.pretrain.data.path=/nowhere",
    "--config.ucf101=/nowhere",
    "--config.hmdb51=/nowhere",
    f"--workdir={tmp_path / 'tables'}",
    "--dry_run",
  ]
  assert main.main(flags) == 0
  assert not list(tmp_path.iterdir())
  printed = capsys.readouterr().out
  assert "\nc3d: config.pretrain as it is\n" in printed
  assert '\nr3d18: model.name="r3d18"\n' in printed
  numbers = {
    line[:32].strip(): line[42:].split()
    for line in printed.splitlines()
    if line.startswith("  ")
  }
  # Two steps of 2 videos in three views; three trainings of two steps, and
  # five crops of each video of the three test sets.
  assert numbers["pretrain/full"][:2] == ["2", "12"]
  assert numbers["ucf101/c3d"][:2] == ["6", f"{12 + 5 * 11_213:,}"]
  assert numbers["hmdb51/c3d"][:2] == ["6", f"{12 + 5 * 4_590:,}"]
  flops = [float(n[2]) for name, n in numbers.items() if "/" in name]
  assert float(numbers["total"][2]) == pytest.approx(sum(flops), rel=0.01)
  assert numbers["still to run"] == numbers["total"]


def test_a_dry_run_tells_what_is_left(jobs, tmp_path, monkeypatch):
  monkeypatch.setattr(jobs_lib.Job, "cost", lambda *_: Cost(1, 10, 1e18))
  jobs.again(allowed=3)
  with pytest.raises(KeyboardInterrupt):
    tables.run(planning.make(1), str(tmp_path))
  lines = dry_run.describe(planning.make(1), str(tmp_path)).splitlines()
  shown = {line[:32].strip(): line[32:].split() for line in lines}
  assert "scratch: no pretraining" in lines
  assert shown["pretrain/sc@5"] == ["done", "1", "10", "1"]
  assert shown["pretrain/tc@5"] == ["to", "resume", "1", "10", "1"]
  assert shown["pretrain/full"] == ["to", "do", "1", "10", "1"]
  assert shown["total"] == ["15", "150", "15"]
  assert shown["still to run"] == ["12", "120", "12"]


def test_a_shared_pretraining_costs_once(tmp_path, monkeypatch):
  monkeypatch.setattr(jobs_lib.Job, "cost", lambda *_: Cost(1, 10, 1e18))
  config = planning.make(3, **{"pretrain.optim.decay": 1e-5})
  lines = dry_run.describe(config, str(tmp_path)).splitlines()
  shared = [line.split() for line in lines if line[32:38] == "shared"]
  assert shared == [
    [f"pretrain/{name}", "shared", "0", "0", "0"]
    for name in ("full", "c3d", "r2plus1d10")
  ]
  assert lines[-6].split()[-3:] == ["15", "150", "15"]


def test_a_dry_run_of_another_task_prints_its_config(capsys):
  base = planning.CONFIG.with_stem("tiny")
  want = files.read(f"{base}:task=retrieve")
  want.data.path, want.checkpoint = "/nowhere", "runs/none"
  paths = [
    f"--config.data.path={want.data.path}",
    f"--config.checkpoint={want.checkpoint}",
  ]
  assert main.main([f"--config={base}:task=retrieve", *paths, "--dry_run"]) == 0
  printed = json.loads(capsys.readouterr().out)
  assert identity.with_tuples(printed) == want.to_dict()


def test_flops_of_a_known_product():
  a, b = np.ones((3, 4), np.float32), jax.ShapeDtypeStruct((4, 5), np.float32)
  assert flops_lib.count_flops(lambda x, y: x @ y, a, b) == 2 * 3 * 4 * 5
