"""The benchmark's record, at a size that says nothing about speed."""

import json

import numpy as np
import pytest

from benchmarks import bench_step, measure
from tests import small

# ml_collections reads config files by it.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)

TINY = ("--config=configs/tiny.py", "--batch=8", "--steps=2", *small.FLAGS)


@pytest.fixture(autouse=True)
def root(pytestconfig, monkeypatch):
  monkeypatch.chdir(pytestconfig.rootpath)


@pytest.mark.slow
def test_record(tmp_path, capsys, quick_backbones):
  path = tmp_path / "step.json"
  assert bench_step.main([*TINY, f"--json={path}"]) == 0
  record = json.loads(path.read_text())
  (row,) = record["rows"]
  assert row["name"] == "hdc_jax"
  assert record["clips"] == [24, 4, 16, 16, 3]
  assert record["clips_per_second"] == pytest.approx(24 / row["step_seconds"])
  low, high = row["step_seconds_p10_p90"]
  assert 0 < low <= row["step_seconds"] <= high
  assert record["peak_bytes"] > 0
  assert "ratio" not in record
  assert "24 clips of 4×16×16" in capsys.readouterr().out


def test_bad_input_is_one_line(capsys):
  assert bench_step.main([*TINY, "--config.model.name=r3d19"]) == 2
  assert bench_step.main(["--config=configs/tiny.py", "--batch=3"]) == 2
  first, second = capsys.readouterr().err.splitlines()
  assert "model.name" in first
  assert "--batch=3 does not split over 8 devices" in second


def test_alternate_warms_up_and_takes_turns():
  seen = []
  runs = {name: lambda name=name: seen.append(name) for name in "ab"}
  times = measure.alternate(runs, repeats=3, warm_up=1)
  assert seen == ["a", "b"] * 4
  assert [len(t.seconds) for t in times.values()] == [3, 3]


def test_median_and_spread():
  times = measure.Times([5.0, 1.0, 3.0])
  assert times.median == 3.0
  np.testing.assert_allclose(times.spread, (1.4, 4.6))
