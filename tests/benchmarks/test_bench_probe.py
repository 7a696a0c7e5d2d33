"""The benchmark's record, at a size that says nothing about speed."""

import json

import pytest

from benchmarks import bench_probe
from tests import small

# ml_collections reads config files by it.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)


@pytest.mark.slow
def test_record(tmp_path, capsys, pytestconfig, monkeypatch, prepared, quick):
  monkeypatch.chdir(pytestconfig.rootpath)
  path = tmp_path / "probe.json"
  flags = [
    "--config=configs/tiny.py",
    f"--config.data.path={prepared}",
    "--config.data.batch_size=8",
    "--config.probe.every=20",
    "--config.probe.videos=4",
    "--repeats=1",
    f"--json={path}",
    *small.FLAGS,
  ]
  assert bench_probe.main(flags) == 0
  record = json.loads(path.read_text())
  step, probe = (row["seconds"] for row in record["rows"])
  assert record["ratio"] == pytest.approx(probe / step)
  assert record["share"] == pytest.approx(probe / (20 * step + probe))
  assert record["videos"] == [4, 4]
  assert record["labels"] == ["motion", "scene"]
  assert "4 videos to learn from, 4 to classify" in capsys.readouterr().out
  off = [flag for flag in flags if "probe." not in flag]
  assert bench_probe.main([*off, "--config.probe.every=0"]) == 2
  assert "config.probe.every is not set" in capsys.readouterr().err
