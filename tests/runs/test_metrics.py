"""What a run writes of itself, on a disk and in a bucket."""

import pathlib

import numpy as np
import pytest

from hdc_jax.report import page as report
from hdc_jax.runs import metrics
from hdc_jax.runs.predictions import PREDICTIONS, Predictions
from hdc_jax.runtime.buckets import is_remote
from tests import small
from tests.bucket import Bucket


@pytest.fixture(params=["disk", "gs", "s3"])
def workdir(request, tmp_path, buckets):
  if request.param == "disk":
    return str(tmp_path / "b" / "run")
  return f"{request.param}://b/run"


@pytest.fixture
def local(workdir, tmp_path, buckets):
  """The same, as a local directory."""
  root = buckets if is_remote(workdir) else tmp_path
  return root / "b" / "run"


def events(local):
  """The bytes of TensorBoard's files."""
  paths = sorted(pathlib.Path(local, "tensorboard").iterdir())
  return [path.read_bytes() for path in paths]


def test_metrics_are_written_by_step(workdir, local):
  with metrics.MetricsWriter(workdir) as writer:
    assert metrics.read_metrics(workdir) == []
    for step in (5, 10, 15):
      writer.write(step, {"loss": float(step)})
  lines = [{"step": step, "loss": float(step)} for step in (5, 10, 15)]
  assert metrics.read_metrics(workdir) == lines
  assert (local / "metrics.jsonl").read_text().count("\n") == 3
  (board,) = events(local)
  assert board.count(b"loss") == 3


def test_a_resumed_run_goes_on_where_it_was(workdir, local):
  with metrics.MetricsWriter(workdir) as writer:
    for step in (5, 10, 15):
      writer.write(step, {"loss": float(step)})
  text = (local / "metrics.jsonl").read_text()
  (local / "metrics.jsonl").write_text(text + '{"step": 20, "lo')
  with metrics.MetricsWriter(workdir, 10) as writer:
    writer.write(15, {"loss": 1.0})
  assert [(m["step"], m["loss"]) for m in metrics.read_metrics(workdir)] == [
    (5, 5.0),
    (10, 10.0),
    (15, 1.0),
  ]
  assert events(local)[-1].count(b"loss") == 1


def test_on_a_disk_each_line_is_there_at_once(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    for step in (1, 2):
      writer.write(step, {"loss": 0.0})
      assert metrics.read_metrics(tmp_path)[-1]["step"] == step


def test_a_bucket_is_written_to_seldom(buckets, monkeypatch):
  with metrics.MetricsWriter("gs://b/run") as writer:
    writer.write(1, {"loss": 0.0})
    assert metrics.read_metrics("gs://b/run") == []
    monkeypatch.setattr(metrics, "_INTERVAL", 0.0)
    writer.write(2, {"loss": 0.0})
    assert len(metrics.read_metrics("gs://b/run")) == 2
    assert events(buckets / "b" / "run")


def test_a_bucket_that_fails_does_not_end_a_run(buckets, monkeypatch, caplog):
  monkeypatch.setattr(metrics, "_INTERVAL", 0.0)
  with metrics.MetricsWriter("gs://b/run") as writer:
    with monkeypatch.context() as patch:

      def fail(*_, **__):
        raise RuntimeError("503")

      patch.setattr(Bucket, "_open", fail)
      writer.write(1, {"loss": 0.0})
    assert "metrics are not up to date: gs://b/run/metr" in caplog.text
    writer.write(2, {"loss": 0.0})
  assert [m["step"] for m in metrics.read_metrics("gs://b/run")] == [1, 2]


def test_a_whole_run_in_a_bucket(workdir, local):
  """Config, metrics, predictions and result become a report."""
  metrics.write_config(workdir, small.config().to_dict())
  with metrics.MetricsWriter(workdir) as writer:
    writer.write(1, {"loss": 2.5})
  made = Predictions(
    ids=np.array(["a", "b"]),
    labels=np.array([0, 1]),
    scores=np.eye(2, dtype=np.float32),
    names=np.array(["run", "walk"]),
    label="class",
  )
  made.save(f"{workdir}/split1/{PREDICTIONS}")
  metrics.write_result(workdir, {"task": "finetune", "rows": []})
  assert metrics.read_result(workdir)["task"] == "finetune"
  loaded = Predictions.load(f"{workdir}/split1/{PREDICTIONS}")
  assert loaded.top(1) == 100.0
  page = report.write(workdir, runs=[workdir])
  assert str(page) == f"{workdir}/report.html"
  text = (local / "report.html").read_text()
  assert "walk" in text
  assert "2.5" in text
