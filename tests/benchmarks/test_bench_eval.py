"""The benchmark's record, at a size that says nothing about speed."""

import json

import pytest

from benchmarks import bench_eval
from tests import small

# ml_collections reads config files by it.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)


@pytest.mark.slow
def test_record(tmp_path, capsys, pytestconfig, monkeypatch, prepared):
  monkeypatch.chdir(pytestconfig.rootpath)
  path = tmp_path / "eval.json"
  flags = [
    "--config=configs/tiny.py:task=finetune",
    f"--config.data.path={prepared}",
    "--config.test.batch_size=8",
    "--config.test.clips=3",
    "--videos=2",
    "--repeats=1",
    f"--json={path}",
    *small.FLAGS[:4],  # a classifier has no method
  ]
  assert bench_eval.main(flags) == 0
  record = json.loads(path.read_text())
  assert record["clips"] == [2 * 3 * 5, 4, 16, 16, 3]
  test, forward = record["rows"]
  assert record["clips_per_second"] == pytest.approx(30 / test["seconds"])
  # The forward pass alone has four whole batches.
  peer = record["peer_clips_per_second"]
  assert peer == pytest.approx(32 / forward["seconds"])
  assert record["ratio"] == pytest.approx(record["clips_per_second"] / peer)
  assert "30 clips of 4×16×16" in capsys.readouterr().out
  assert bench_eval.main([*flags, "--config.test.batch_size=9"]) == 2
  assert "config.test.batch_size=9" in capsys.readouterr().err
