"""The event files of TensorBoard."""

import pathlib

import pytest

from hdc_jax.runs.trackers import tensorboard, tracking
from tests.bucket import Bucket
from tests.checkpoints import states
from tests.runs.trackers import pictures


def events(run):
  """The bytes of the files."""
  paths = sorted(pathlib.Path(run, "tensorboard").iterdir())
  return [path.read_bytes() for path in paths]


def track(workdir, steps, first=0):
  with tracking.Tracking(workdir, ["tensorboard"], {}) as tracked:
    tracked.begin(first)
    for step in steps:
      tracked.scalars(step, {"loss": float(step)})


@pytest.mark.parametrize("scheme", ["", "gs://", "s3://"])
def test_scalars_are_written_by_step(scheme, tmp_path, buckets):
  workdir = f"{scheme}b/run" if scheme else tmp_path / "run"
  track(workdir, (5, 10, 15))
  local = buckets / "b" / "run" if scheme else workdir
  (board,) = events(local)
  assert board.count(b"loss") == 3
  track(workdir, (15,), 10)
  assert sorted(b.count(b"loss") for b in events(local)) == [1, 3]
  # Nothing needs an id, and nobody knows the port of its server.
  assert not (local / "trackers.json").exists()


def test_a_bucket_that_fails_is_left_out(buckets, monkeypatch, caplog):
  monkeypatch.setattr(tensorboard, "_INTERVAL", 0.0)

  def fail(*_, **__):
    raise RuntimeError("503")

  monkeypatch.setattr(Bucket, "_open", fail)
  track("gs://b/run", range(5))
  (warning,) = caplog.records
  assert warning.message.startswith("tracker tensorboard is left out from here")


def test_a_full_disk_is_left_out(tmp_path, caplog):
  with states.no_file_longer_than(40):
    track(tmp_path, range(40))
  (warning,) = caplog.records
  assert warning.message.startswith("tracker tensorboard is left out from here")
  assert "OSError" in warning.message


def test_tensorboard_reads_them(tmp_path):
  """With its own reader, where it is installed."""
  reader = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="tensorboard is not installed",
  )
  track(tmp_path, (5, 10, 15))
  with tracking.Tracking(tmp_path, ["tensorboard"], {}) as tracked:
    tracked.begin(10)
    tracked.scalars(15, {"loss": 0.5, "loss/spatial3": 2.0})
    tracked.report(15, {"One · two": pictures.png()}, "<html>")
  events = reader.EventAccumulator(str(tmp_path / "tensorboard"))
  events.Reload()
  assert events.Tags()["scalars"] == ["loss", "loss/spatial3"]
  points = [(e.step, e.value) for e in events.Scalars("loss")]
  assert points == [(5, 5.0), (10, 10.0), (15, 0.5)]
  (image,) = events.Images("One · two")
  assert (image.step, image.width, image.height) == (15, 20, 10)
  assert image.encoded_image_string == pictures.png()
