"""Trackio, which keeps runs on the machine."""

import json

import pytest

from hdc_jax.runs.trackers import tracking
from tests.runs.trackers import pictures


def test_a_run(tmp_path, monkeypatch, caplog):
  """A resumed one goes on in it."""
  # Read when trackio is imported.
  monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "kept"))
  pytest.importorskip("trackio", reason="trackio is not installed")
  from trackio import sqlite_storage

  for first in (0, 5):
    with tracking.Tracking(tmp_path / "run", ["trackio"], {"a": 1}) as tracked:
      tracked.begin(first)
      tracked.scalars(first + 5, {"loss": first / 8})
      tracked.report(first + 5, {"A picture": pictures.png()}, "<p>report</p>")
  assert not [r for r in caplog.records if r.levelname == "WARNING"]
  known = json.loads((tmp_path / "run" / "trackers.json").read_text())
  assert known["trackio"]["place"] == "trackio show --project=hdc_jax"
  storage = sqlite_storage.SQLiteStorage
  assert storage.get_runs("hdc_jax") == [known["trackio"]["id"]]
  lines = storage.get_logs("hdc_jax", known["trackio"]["id"])
  losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
  assert losses == [(5, 0.0), (10, 0.625)]
  shown = {name for line in lines for name in line}
  assert {"A picture", "report"} <= shown
