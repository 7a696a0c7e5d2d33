"""Metrics by step, on a disk and in a bucket."""

import pathlib

import pytest

from hdc_jax.runs import metrics
from tests.bucket import Bucket


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


def test_tensorboard_reads_them(tmp_path):
  """With its own reader, where it is installed."""
  reader = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="tensorboard is not installed",
  )
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(5, {"loss": 0.5, "loss/spatial3": 2.0})
  events = reader.EventAccumulator(str(tmp_path / metrics.TENSORBOARD))
  events.Reload()
  assert events.Tags()["scalars"] == ["loss", "loss/spatial3"]
  ((step, value),) = [(e.step, e.value) for e in events.Scalars("loss")]
  assert (step, value) == (5, 0.5)
