"""Metrics by step, on a disk and in a bucket."""

import pytest

from hdc_jax.runs import metrics
from tests.bucket import Bucket
from tests.checkpoints import states


def test_metrics_are_written_by_step(workdir, local):
  with metrics.MetricsWriter(workdir) as writer:
    assert metrics.read_metrics(workdir) == []
    for step in (5, 10, 15):
      writer.write(step, {"loss": float(step)})
  lines = [{"step": step, "loss": float(step)} for step in (5, 10, 15)]
  assert metrics.read_metrics(workdir) == lines
  assert (local / "metrics.jsonl").read_text().count("\n") == 3


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


def test_on_a_disk_each_line_is_there_at_once(tmp_path):
  with metrics.MetricsWriter(tmp_path) as writer:
    for step in (1, 2):
      writer.write(step, {"loss": 0.0})
      assert metrics.read_metrics(tmp_path)[-1]["step"] == step


def test_a_line_costs_as_much_after_many(tmp_path, monkeypatch):
  """Neither memory nor what is written grows with the lines before."""
  with metrics.MetricsWriter(tmp_path) as writer:
    monkeypatch.setattr(metrics.files, "write", None)
    sizes = []
    for step in range(100, 200):
      before = (tmp_path / metrics.METRICS).stat().st_ino
      writer.write(step, {"loss": 0.0})
      sizes.append(sum(map(len, writer._lines)))
      assert (tmp_path / metrics.METRICS).stat().st_ino == before
    assert set(sizes) == {0}
  assert len(metrics.read_metrics(tmp_path)) == 100


def test_a_bucket_is_written_to_seldom(buckets, monkeypatch):
  with metrics.MetricsWriter("gs://b/run") as writer:
    writer.write(1, {"loss": 0.0})
    assert metrics.read_metrics("gs://b/run") == []
    monkeypatch.setattr(metrics, "_INTERVAL", 0.0)
    writer.write(2, {"loss": 0.0})
    assert len(metrics.read_metrics("gs://b/run")) == 2


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


def test_a_full_disk_does_not_end_a_run(tmp_path, caplog):
  with metrics.MetricsWriter(tmp_path) as writer:
    writer.write(1, {"loss": 0.0})
    with states.no_file_longer_than(40):
      for step in range(2, 40):
        writer.write(step, {"loss": 0.0})
    (warning,) = caplog.records
    assert warning.message.startswith("metrics are not up to date: [E")
    assert [m["step"] for m in metrics.read_metrics(tmp_path)] == [1]
    writer.write(40, {"loss": 0.0})
  steps = [m["step"] for m in metrics.read_metrics(tmp_path)]
  assert steps == list(range(1, 41))


def test_a_directory_that_is_gone_does_not_either(tmp_path, caplog):
  place = tmp_path / "run"
  place.write_text("a file")
  with metrics.MetricsWriter(place) as writer:
    writer.write(1, {"loss": 0.0})
  assert caplog.text.count("metrics are not up to date: ") == 1


@pytest.mark.parametrize(
  "damage",
  ['{"step": 4, "lo', "\0\0\0\0", '"a text"\n', "[]\n", "{}\n", "\xff"],
)
def test_damaged_lines_are_left_out(tmp_path, damage):
  path = tmp_path / metrics.METRICS
  lines = '{"step": 1, "loss": 0.5}\n', '{"step": 2, "loss": NaN}\n'
  path.write_text("".join(lines) + damage, "latin-1")
  assert [m["step"] for m in metrics.read_metrics(tmp_path)] == [1, 2]
  with metrics.MetricsWriter(tmp_path, 2) as writer:
    writer.write(3, {"loss": 0.5})
  assert [m["step"] for m in metrics.read_metrics(tmp_path)] == [1, 2, 3]
