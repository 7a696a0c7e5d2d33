"""The monitor's words, from lines of metrics with known values."""

import re

import numpy as np
import pytest

from hdc_jax.data.options import Loading
from hdc_jax.errors import Collapsed
from hdc_jax.runs import metrics
from hdc_jax.runs.trackers import tracking
from hdc_jax.train import bottleneck, monitor, reports, skipping

CHANCE = {"spatial5": np.log(32), "temporal5": np.log(32)}
STEPS = 500
# As a healthy run has them after a while: configs/tiny.py at step 100.
HEALTHY = {
  "loss/spatial5": 2.96,
  "loss/temporal5": 3.41,
  **{f"health/positive/{t}": 0.6 for t in CHANCE},
  **{f"health/negative/{t}": 0.7 for t in CHANCE},
  "health/nearest/spatial5": 0.12,
  "health/nearest/temporal5": 0.06,
  **{f"health/deviation/{v}5": 0.28 for v in ("o_spatial", "s_spatial")},
  **{f"health/deviation/{v}5": 0.1 for v in ("o_temporal", "t_temporal")},
  **{f"health/rank/{v}5": 3.7 for v in ("o_spatial", "s_spatial")},
  **{f"health/rank/{v}5": 2.9 for v in ("o_temporal", "t_temporal")},
}
AT_CHANCE = {f"loss/{t}": 0.999 * x for t, x in CHANCE.items()}
APART = {name: 0.4 for name in HEALTHY if "/deviation/" in name}
CASES = {
  "a dead head": (
    {"health/deviation/t_temporal5": 0.0, "health/rank/t_temporal5": 1.0},
    20,
    monitor.COLLAPSING,
    r"all embeddings of t_temporal5 are alike \(deviation 0\): lower "
    r"config\.optim\.lr; ",
  ),
  "opposite vectors": (
    {"health/rank/o_spatial5": 1.05},
    20,
    monitor.COLLAPSING,
    r"of o_spatial5 differ in one direction only \(rank 1\.1\): lower ",
  ),
  "no term leaves chance": (
    AT_CHANCE,
    110,
    monitor.NOT_LEARNING,
    r"no term has learned .* is 99\.9% of that of equal embeddings: change "
    r"config\.optim\.lr",
  ),
  "a temperature that is too high": (
    AT_CHANCE | APART,
    20,
    monitor.NOT_LEARNING,
    r"the embeddings differ, but .*: lower config\.method\.temperature",
  ),
}


def lines(values, steps=STEPS):
  for step in range(10, steps + 1, 10):
    yield {"step": step} | HEALTHY | values


@pytest.mark.parametrize("case", CASES)
def test_findings(case):
  """Each counts at the second line at which it holds, and is told once."""
  values, step, word, advice = CASES[case]
  judge = monitor.Monitor(CHANCE, STEPS)
  first = []
  for line in lines(values):
    first += [(line["step"], finding) for finding in judge.add(line)]
    assert judge.word == (word if first else monitor.OK)
  ((counted, finding),) = first
  assert (counted, finding.word) == (step, word)
  assert re.search(advice, finding.advice)
  assert "\n" not in finding.advice


# What a healthy run may show: a term at chance beside one that learns; a loss
# of chance in its first fifth; and, just once, what would be a finding.
FINE = {
  "learning": {},
  "one term at chance": {"loss/temporal5": np.log(32)},
  "slightly above the bounds": {
    "health/deviation/o_spatial5": 1.05 * monitor.LEAST_DEVIATION,
    "health/rank/o_spatial5": 1.05 * monitor.LEAST_RANK,
    "loss/spatial5": 0.99 * monitor.CHANCE * np.log(32),
    # As configs/tiny.py has them after 100 steps.
    "health/positive/temporal5": 0.95,
    "health/negative/temporal5": 0.97,
  },
}


@pytest.mark.parametrize("case", FINE)
def test_no_findings(case):
  judge = monitor.Monitor(CHANCE, STEPS)
  assert not any(judge.add(line) for line in lines(FINE[case]))
  assert judge.word == monitor.OK


def test_a_slow_start_and_a_single_line_are_no_findings():
  judge = monitor.Monitor(CHANCE, STEPS)
  for line in lines(AT_CHANCE, int(monitor.SHARE * STEPS)):
    assert not judge.add(line)
  assert not judge.add({"step": 110} | HEALTHY)
  assert not judge.add({"step": 120} | HEALTHY | AT_CHANCE)
  assert not judge.add({"step": 130} | HEALTHY)
  assert judge.word == monitor.OK


@pytest.mark.parametrize(
  ("steps", "patience"), [(10, 30), (500, 100), (200_000, 2000)]
)
def test_the_time_to_leave_chance(steps, patience):
  judge = monitor.Monitor(CHANCE, steps)
  for step, found in (
    (patience - 1, 0),
    (patience, 0),
    (patience + 1, 1),
  ):
    assert len(judge.add({"step": step} | HEALTHY | AT_CHANCE)) == found


def test_a_word_is_told_once_whatever_else_is_found_for_it():
  judge = monitor.Monitor(CHANCE, STEPS)
  found = [f for line in lines(AT_CHANCE | APART) for f in judge.add(line)]
  assert [finding.kind for finding in found] == ["flat"]
  assert judge.word == monitor.NOT_LEARNING


def test_a_run_can_recover():
  judge = monitor.Monitor(CHANCE, STEPS)
  for line in lines(AT_CHANCE, 200):
    judge.add(line)
  assert judge.word == monitor.NOT_LEARNING
  judge.add({"step": 210} | HEALTHY)
  assert judge.word == monitor.OK


def test_a_resumed_run_goes_on_as_if_it_had_not_stopped():
  values = CASES["a dead head"][0]
  history = list(lines(values, 10))
  judge = monitor.Monitor(CHANCE, STEPS, history)
  assert judge.add({"step": 20} | HEALTHY | values)
  assert not judge.add({"step": 30} | HEALTHY | values)


def test_without_embeddings_there_is_no_word():
  """As in supervised training, and in the files of earlier versions."""
  judge = monitor.Monitor({}, STEPS)
  assert not judge.add({"step": 10, "loss": 1.0})
  assert judge.word == ""


@pytest.mark.parametrize(
  ("positive", "negative", "found"),
  [(0.97, 0.98, True), (0.97, 0.96, False), (0.8, 0.85, False)],
)
def test_a_loss_without_negatives(positive, negative, found):
  """It is 0 where all embeddings are alike, which is no chance."""
  judge = monitor.Monitor(dict.fromkeys(CHANCE, 0.0), STEPS)
  values = AT_CHANCE | {
    "health/positive/temporal5": positive,
    "health/negative/temporal5": negative,
  }
  findings = [f for line in lines(values) for f in judge.add(line)]
  assert [f.what for f in findings] == ["temporal5"] * found
  for finding in findings:
    assert finding.word == monitor.COLLAPSING
    assert "see that the loss has negatives" in finding.advice


class Feed:
  ids = ()

  def take_wait(self):
    return 0.0


class Sink:
  """Keeps what it gets, as any of those who are told of a step."""

  def __init__(self):
    self.lines, self.shown = [], {}

  def write(self, step, scalars):
    self.lines.append({"step": step} | dict(scalars))

  def update(self, **shown):
    self.shown |= shown

  def tick(self):
    pass


class Waiting:
  """Says once that steps wait."""

  def __init__(self):
    self.shares = []

  def judge(self, share):
    self.shares.append(share)
    return "steps wait" if len(self.shares) == 2 else ""


def report(values, stop, steps=40, waiting=None):
  """Reports the steps of a run that logs each 10."""
  sink = Sink()
  made = reports.Reports(
    metrics.Meter(1),
    monitor.Monitor(CHANCE, STEPS),
    feed=Feed(),
    writer=sink,
    tracking=tracking.Tracking("", (), {}),
    progress=sink,
    ledger=sink,
    skips=skipping.Skips(0),
    logged=lambda step: step % 10 == 0,
    stop_on_collapse=stop,
    waiting=waiting or bottleneck.Bottleneck(Loading(), "h264"),
  )
  for step in range(1, steps + 1):
    measured = {"loss": step, "grad_norm": 1.0, "skipped": 0}
    measured |= HEALTHY | values
    health = {n: x for n, x in measured.items() if n.startswith("health/")}
    scalars = {n: x for n, x in measured.items() if n not in health}
    made.add(step, scalars, {} if step % 10 else health)
  made.flush()
  return sink, made


def test_health_is_that_of_the_logged_step_and_no_mean():
  sink, made = report({}, stop=True)
  assert [line["step"] for line in sink.lines] == [10, 20, 30, 40]
  for line in sink.lines:
    step = line["step"]
    assert line["loss"] == np.mean(np.arange(step - 9, step + 1))
    assert line["health/rank/o_spatial5"] == 3.7
  assert sink.shown["health"] == made.summary()["health"] == "ok"


def test_a_run_that_waits_says_so_at_a_logged_step(caplog):
  waiting = Waiting()
  report({}, stop=True, waiting=waiting)
  assert len(waiting.shares) == 4
  assert [r.getMessage() for r in caplog.records] == ["steps wait"]


def test_a_warning_is_one_line_for_each_kind(caplog):
  sink, made = report(CASES["a dead head"][0], stop=False)
  (warning,) = [r.getMessage() for r in caplog.records]
  assert warning.startswith("collapsing at step 20: all embeddings of t_temp")
  assert sink.shown["health"] == made.summary()["health"] == "collapsing"


def test_a_run_that_is_to_stop_ends():
  with pytest.raises(Collapsed, match=r"collapsing at step 20: all embeddings"):
    report(CASES["a dead head"][0], stop=True)
