"""Runs with trackers, of which one fails."""

import numpy as np
import pytest

from hdc_jax.runs import metrics, trackers
from hdc_jax.runs.trackers import base
from hdc_jax.tasks import pretrain
from tests import small


class Told(base.Tracker):
  """Remembers what it is told."""

  package = "jax"
  calls: list = []  # noqa: RUF012 - of one test

  def __init__(self, run):
    assert run.config["optim.lr"] == 0.1
    self.run_id, self.place = run.run_id or "id1", "https://here/id1"
    self.calls.append(("begin", run.run_id, run.first_step))

  def scalars(self, step, values):
    self.calls.append(("scalars", step, dict(values)))

  def picture(self, step, title, png):
    self.calls.append(("picture", step, title, png[:4]))

  def page(self, step, html):
    self.calls.append(("page", step, html[:15]))

  def close(self):
    self.calls.append(("close",))


class Broken(Told):
  """Fails at every call."""

  calls: list = []  # noqa: RUF012

  def scalars(self, step, values):
    raise RuntimeError("out of reach")


@pytest.fixture
def tracked(quick, prepared, tmp_path, monkeypatch):
  """A function that trains to a step."""
  monkeypatch.setitem(trackers.TRACKERS, "told", Told)
  monkeypatch.setitem(trackers.TRACKERS, "broken", Broken)

  def train(steps):
    config = small.tiny(
      data__path=prepared,
      train__steps=steps,
      train__log_every=1,
      train__trackers=("told", "broken"),
      probe__every=2,
      probe__videos=4,
    )
    return pretrain.run(config, str(tmp_path / "run"))

  return train


@pytest.mark.slow
def test_a_run_is_shown_and_a_failure_harms_nothing(tracked, tmp_path, caplog):
  workdir = tmp_path / "run"
  assert tracked(2)["steps"] == 2
  warnings = [r.message for r in caplog.records if "tracker" in r.message]
  assert warnings == [
    "tracker broken is left out from here on, and the run goes on: "
    "RuntimeError: out of reach"
  ]
  lines = metrics.read_metrics(workdir)
  told = [{"step": step} | values for _, step, values in Told.calls[1:5]]
  assert told == lines and np.isfinite(lines[1]["loss"])
  shown = Told.calls[5:]
  assert {("picture", 2, "report/Loss", b"\x89PNG")} <= set(shown)
  assert shown[-2:] == [("page", 2, "<!doctype html>"), ("close",)]
  report = (workdir / "report.html").read_text()
  assert '<a href="https://here/id1">' in report
  tracked(4)
  assert ("begin", "id1", 2) in Told.calls
