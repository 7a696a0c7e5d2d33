"""The goodput of a run: every second has one cause, over all restarts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdc_jax.runs import goodput


class Clock:
  """A clock that stands still until it is told otherwise."""

  def __init__(self):
    self.now = 1000.0

  def __call__(self):
    return self.now


@pytest.fixture
def clock():
  return Clock()


def begin(workdir, clock, step=0, seconds=2.0):
  """A process that needs some seconds to start, and goes on at a step."""
  ledger = goodput.Ledger(workdir, clock)
  clock.now += seconds
  ledger.resume(step)
  return ledger


def take(ledger, clock, seconds, cause=None):
  """Lets time go by, for a cause or for steps."""
  if cause is None:
    clock.now += seconds
  else:
    with ledger.spend(cause):
      clock.now += seconds


def test_every_second_has_its_cause(tmp_path, clock):
  ledger = begin(tmp_path, clock)
  take(ledger, clock, 20.0, "compile")
  take(ledger, clock, 70.0)
  with ledger.spend("probe"):
    clock.now += 3.0
    take(ledger, clock, 1.0, "checkpoint")  # within the probe, but its own
    clock.now += 4.0
  found = ledger.summary()
  assert found["share"] == pytest.approx(0.7)
  assert found["starts"] == 1
  assert {k: v for k, v in found["seconds"].items() if v} == {
    "step": 70.0,
    "start": 2.0,
    "compile": 20.0,
    "probe": 7.0,
    "checkpoint": 1.0,
  }
  assert goodput.describe_losses(found) == (
    "compiling 20 %, probing 7 %, starting 2 %, saving 1 %"
  )


def test_what_was_not_saved_is_repeated(tmp_path, clock):
  """A process is killed 50 s after its checkpoint, and 30 s later restarted."""
  ledger = begin(tmp_path, clock)
  take(ledger, clock, 100.0)
  ledger.saved(10)
  take(ledger, clock, 50.0)
  ledger.write()
  clock.now += 30.0
  ledger = begin(tmp_path, clock, step=10)
  take(ledger, clock, 50.0)
  ledger.saved(15)
  found = ledger.summary()
  assert found["starts"] == 2
  assert {k: v for k, v in found["seconds"].items() if v} == {
    "step": 150.0,
    "start": 4.0,
    "repeated": 50.0,
    "down": 30.0,
  }


def test_an_older_checkpoint_repeats_more(tmp_path, clock):
  ledger = begin(tmp_path, clock)
  for step in (10, 20):
    take(ledger, clock, 100.0)
    ledger.saved(step)
  ledger = begin(tmp_path, clock, step=10)
  assert ledger.summary()["seconds"]["repeated"] == 100.0
  assert ledger.summary()["seconds"]["step"] == 100.0


@given(
  st.lists(
    st.tuples(
      st.sampled_from([None, "compile", "input", "checkpoint", "probe"]),
      st.floats(0.0, 100.0),
      st.booleans(),
    ),
    max_size=20,
  )
)
def test_the_causes_add_up_to_the_time(tmp_path_factory, spans):
  """Restarts included, at the newest saved step."""
  workdir, clock = tmp_path_factory.mktemp("run"), Clock()
  began, step = clock.now, 0
  ledger = begin(workdir, clock)
  for number, (cause, seconds, restarts) in enumerate(spans, 1):
    take(ledger, clock, seconds, cause)
    if number % 3 == 0:
      ledger.saved(number)
      step = number
    if restarts and step:
      clock.now += 5.0
      ledger = begin(workdir, clock, step)
  found = ledger.summary()
  total = sum(found["seconds"].values())
  assert total == pytest.approx(clock.now - began, abs=0.1)
  assert min(found["seconds"].values()) >= 0


def test_a_first_start_takes_nothing_over(tmp_path, clock):
  """A directory whose checkpoints were removed is a new run."""
  ledger = begin(tmp_path, clock)
  take(ledger, clock, 100.0)
  ledger.write()
  ledger = begin(tmp_path, clock)
  assert ledger.summary()["starts"] == 1
  assert ledger.summary()["seconds"]["step"] == 0.0


@pytest.mark.parametrize(
  "damaged", ["", "{", "[]", '{"until": 1}', '{"until": "x", "starts": 1}']
)
def test_a_damaged_file_is_none(tmp_path, clock, damaged):
  (tmp_path / goodput.GOODPUT).write_text(damaged)
  ledger = begin(tmp_path, clock, step=10)
  take(ledger, clock, 98.0)
  assert ledger.summary()["share"] == pytest.approx(0.98)


def test_the_file_is_written_seldom(tmp_path, clock):
  ledger = begin(tmp_path, clock)
  path = tmp_path / goodput.GOODPUT
  take(ledger, clock, 7.0)
  ledger.tick()
  assert not path.exists()
  take(ledger, clock, 3.0)
  ledger.tick()
  assert json.loads(path.read_text())["seconds"]["step"] == 10.0


def test_a_directory_that_cannot_be_written_to_is_a_warning(
  tmp_path, clock, caplog
):
  (tmp_path / "file").write_text("")
  ledger = begin(tmp_path / "file" / "run", clock)
  ledger.saved(10)
  assert "the goodput is not up to date" in caplog.text
