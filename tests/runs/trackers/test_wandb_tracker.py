"""Weights & Biases offline, as on a machine without a network."""

import json
import os
import time

import pytest

from hdc_jax.runs.trackers import tracking
from tests.runs.trackers import pictures

wandb = pytest.importorskip("wandb", reason="wandb is not installed")


@pytest.fixture(autouse=True)
def fresh():
  """Forgets the environment of another test, which a process reads once."""
  wandb.teardown()
  yield
  wandb.teardown()


def track(workdir, first=0):
  config = {"optim.lr": 0.125}
  with tracking.Tracking(workdir, ["wandb"], config) as tracked:
    tracked.begin(first)
    for step in (first + 5, first + 10):
      tracked.scalars(step, {"loss/spatial3": step / 100})
    tracked.report(first + 10, {"A picture": pictures.png()}, "<p>report</p>")


def test_a_run_offline(tmp_path, monkeypatch, caplog):
  """It goes on in the same run, and keeps no key."""
  monkeypatch.setenv("WANDB_MODE", "offline")
  monkeypatch.setenv("WANDB_API_KEY", key := "0123456789abcdef" * 3)
  track(tmp_path / "run")
  known = json.loads((tmp_path / "run" / "trackers.json").read_text())
  track(tmp_path / "run", 5)  # as after an interruption before step 10
  assert not [r for r in caplog.records if r.levelname == "WARNING"]
  run_id = known["wandb"]["id"]
  assert json.loads((tmp_path / "run" / "trackers.json").read_text())["wandb"][
    "id"
  ] == (run_id)
  command, offline = known["wandb"]["place"].rsplit(" ", 1)
  assert command == "wandb sync" and os.path.isdir(offline)
  files = sorted((tmp_path / "run" / "wandb").glob(f"offline*/*{run_id}.wandb"))
  assert files
  # Its service writes in a process of its own.
  for _ in range(50):
    written = b"".join(path.read_bytes() for path in files)
    if b"0.15" in written:
      break
    time.sleep(0.2)
  assert written.count(b"loss/spatial3") >= 4
  for value in (b"0.05", b"0.1", b"0.15", b"optim.lr", b"0.125"):
    assert value in written
  found = {p.suffix for p in (tmp_path / "run").rglob("media/*/*")}
  assert found == {".png", ".html"}
  for path in tmp_path.rglob("*"):
    assert path.is_dir() or key.encode() not in path.read_bytes(), path


def test_without_a_key_it_is_left_out(tmp_path, monkeypatch, caplog):
  """At once, and without a question to the terminal."""
  for name in ("WANDB_API_KEY", "WANDB_MODE"):
    monkeypatch.delenv(name, raising=False)
  monkeypatch.setenv("HOME", str(tmp_path))
  monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
  track(tmp_path / "run")
  (warning,) = [r.message for r in caplog.records if r.levelname == "WARNING"]
  assert warning.startswith("tracker wandb is left out from here on, and the r")
