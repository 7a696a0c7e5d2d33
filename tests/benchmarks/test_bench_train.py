"""The benchmark's record, at a size that says nothing about speed."""

import json
import time

import pytest

from benchmarks import bench_train
from hdc_jax.data.clips import loader
from tests import small

# ml_collections reads config files by it.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)


@pytest.mark.slow
def test_record(tmp_path, capsys, pytestconfig, monkeypatch, prepared, quick):
  """A loader that is slow, and busy while it is, is seen as that."""
  monkeypatch.chdir(pytestconfig.rootpath)
  read = loader.training_batches

  def slowly(*arguments, **options):
    for batch in read(*arguments, **options):
      end = time.process_time() + 0.2
      while time.process_time() < end:
        pass
      yield batch

  path = tmp_path / "train.json"
  flags = [
    "--config=configs/tiny.py",
    f"--config.data.path={prepared}",
    "--config.data.batch_size=8",
    "--steps=3",
    f"--json={path}",
    *small.FLAGS,
  ]
  monkeypatch.setattr(loader, "training_batches", slowly)
  assert bench_train.main(flags) == 0
  record = json.loads(path.read_text())
  step, wait = (row["seconds"] for row in record["rows"])
  assert wait <= step
  assert record["cpu_seconds_per_batch"] >= 0.2
  # Of the step's CPU time, reading is a part.
  assert record["cpu_seconds_per_step"] >= 0.2
  assert 0 < record["data_wait"] < 1
  assert "data wait: " in capsys.readouterr().out
  assert bench_train.main([*flags, "--config.data.workers=2"]) == 2
  assert "config.data.workers=2: the CPU time" in capsys.readouterr().err
