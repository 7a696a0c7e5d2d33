"""Trackers are told everything, and never harm a run."""

import json
import threading
import time

import jax
import pytest

from hdc_jax import main
from hdc_jax.errors import ConfigError
from hdc_jax.runs import trackers
from hdc_jax.runs.trackers import base, tracking


class Told(base.Tracker):
  """Remembers what it is told; fails, or waits for ever, if told so."""

  package = "jax"
  calls: list
  fails = hangs = ""

  def __init__(self, run):
    self.run_id, self.place = run.run_id or "id1", "https://here"
    self._do("begin", run.run_id, run.first_step)

  def _do(self, what, *how):
    self.calls.append((what, *how))
    if what == self.hangs:
      threading.Event().wait()
    if what == self.fails:
      raise SystemExit("out of\nreach")

  def scalars(self, step, values):
    self._do("scalars", step, values)

  def picture(self, step, title, png):
    self._do("picture", step, title, png)

  def page(self, step, html):
    self._do("page", step, html)

  def close(self):
    self._do("close")


@pytest.fixture
def told(monkeypatch):
  """Makes a tracker of a name, and returns its class."""

  def make(name, **attributes):
    cls = type(name, (Told,), {"calls": [], **attributes})
    monkeypatch.setitem(trackers.TRACKERS, name, cls)
    return cls

  return make


def warnings(caplog):
  return [r.message for r in caplog.records if r.levelname == "WARNING"]


def track(workdir, names, first=0):
  with tracking.Tracking(workdir, names, {"a.b": 1}) as tracked:
    tracked.begin(first)
    tracked.wait_for_places()
    tracked.scalars(5, {"loss": 1.0})
    tracked.report(9, {"one": b"1", "two": b"2"}, "<html>")


def test_a_tracker_is_told_everything_in_order(told, tmp_path):
  calls = told("a").calls
  track(tmp_path, ["a"], 3)
  assert calls == [
    ("begin", "", 3),
    ("scalars", 5, {"loss": 1.0}),
    ("picture", 9, "one", b"1"),
    ("picture", 9, "two", b"2"),
    ("page", 9, "<html>"),
    ("close",),
  ]


def test_a_resumed_run_goes_on_in_the_run_of_the_tracker(told, tmp_path):
  calls = told("a").calls
  track(tmp_path, ["a"])
  found = json.loads((tmp_path / "trackers.json").read_text())
  assert found == {"a": {"id": "id1", "place": "https://here"}}
  track(tmp_path, ["a"], 7)
  assert [call for call in calls if call[0] == "begin"] == [
    ("begin", "", 0),
    ("begin", "id1", 7),
  ]


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 1}', '{"a": {"id": "x"}}'])
def test_a_damaged_file_of_ids_is_as_none(told, tmp_path, text):
  calls = told("a").calls
  (tmp_path / "trackers.json").write_text(text)
  track(tmp_path, ["a"])
  assert calls[0] == ("begin", "", 0)


@pytest.mark.parametrize("fails", ["begin", "scalars", "picture", "close"])
def test_one_that_fails_is_named_once_and_left_out(
  told, tmp_path, caplog, fails
):
  broken, other = told("broken", fails=fails), told("other")
  track(tmp_path, ["broken", "other"])
  assert warnings(caplog) == [
    "tracker broken is left out from here on, and the run goes on: "
    "SystemExit: out of reach"
  ]
  last = [call[0] for call in broken.calls][-2:]
  assert last == ([fails] if fails == "begin" else [fails, "close"])
  assert other.calls[-1] == ("close",) and len(other.calls) == 6


@pytest.mark.parametrize("hangs", ["begin", "scalars", "close"])
def test_one_that_hangs_is_left_out(told, tmp_path, caplog, monkeypatch, hangs):
  monkeypatch.setattr(tracking, "_CLOSING_SECONDS", 0.2)
  stuck, other = told("stuck", hangs=hangs), told("other")
  start = time.monotonic()
  track(tmp_path, ["stuck", "other"])
  assert time.monotonic() - start < 5
  assert [w[:30] for w in warnings(caplog)] == [
    "tracker stuck is left out from"
  ]
  assert "did not end within 0.2 seconds" in caplog.text
  assert stuck.calls[-1][0] == hangs and other.calls[-1] == ("close",)


def test_one_that_is_far_behind_is_left_out(
  told, tmp_path, caplog, monkeypatch
):
  monkeypatch.setattr(tracking, "_MOST_WAITING", 10)
  told("slow", hangs="begin")
  with tracking.Tracking(tmp_path, ["slow"], {}) as tracked:
    tracked.begin(0)
    for step in range(100):
      tracked.scalars(step, {})
    assert not tracked.active
  (warning,) = warnings(caplog)
  assert warning.endswith("it is 10 calls behind")


def test_only_process_0_tracks(told, tmp_path, monkeypatch):
  calls = told("a").calls
  monkeypatch.setattr(jax, "process_index", lambda: 1)
  track(tmp_path, ["a"])
  assert not calls and not list(tmp_path.iterdir())


def test_no_more_is_written_where_the_disk_is_gone(told, tmp_path, caplog):
  calls = told("a").calls
  (tmp_path / "run").write_text("a file")
  track(tmp_path / "run", ["a"])
  assert len(calls) == 6
  (warning,) = warnings(caplog)
  assert warning.startswith("trackers.json is not written: ")


def test_a_tracker_is_named_once():
  with pytest.raises(ConfigError, match=r"trackers=.* names a tracker twice"):
    trackers.check("config.train.trackers", ["tensorboard", "tensorboard"])


@pytest.mark.parametrize("flag", ["--dry_run", "--preflight", "--debug"])
def test_a_missing_package_is_an_error_before_all(told, capsys, tmp_path, flag):
  """Where a config is checked: a dry run, the preflight, a run."""
  told("wandb", package="no-such-package")
  options = ["--config=configs/tiny.py", "--config.data.path=/nowhere"]
  options += [f"--workdir={tmp_path / 'run'}", flag]
  code = main.main([*options, "--config.train.trackers=('wandb',)"])
  lines = capsys.readouterr().err.splitlines()
  assert (code, lines[-1]) == (
    2,
    "error: config.train.trackers: 'wandb' needs the package no-such-package, "
    "which is not installed: pip install 'hdc-jax[trackers]', or leave "
    "'wandb' out",
  )
  assert not (tmp_path / "run").exists()
