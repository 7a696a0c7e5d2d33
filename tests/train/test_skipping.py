"""Steps that are not finite, or named: what the state and the metrics keep."""

import dataclasses
import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hdc_jax import key_queue
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError, NonFiniteError
from hdc_jax.runs import metrics
from hdc_jax.train import skipping, step
from tests.train import stepping

BAD = 1  # the step that is skipped, of three


@pytest.fixture(
  scope="module",
  params=[(1, 1), (4, 1), (2, 2)],
  ids=["1x1", "4x1", "2x2"],
)
def made(request):
  """A training with a queue, a mean encoder and batch norm; its step.

  On some devices, in some microbatches.
  """
  devices, count = request.param
  return stepping.make(devices, count)


def states_of(made, poison):
  """The states after each of three steps, and their metrics."""
  trained, take = made
  state = trained.init_state()
  states, scalars = [], []
  for number in range(3):
    batch = stepping.batch(trained, number)
    if number == BAD:
      state, batch = poison(trained, state, batch)
    if batch is None:
      state, measured = trained.skip(state), {}
    else:
      state, measured, _ = take(state, mesh_lib.to_devices(trained.mesh, batch))
    states.append(jax.device_get(state))
    scalars.append(jax.device_get(measured))
  return states, scalars


def nan_in_a_view(trained, state, batch):
  batch["views"][-1, 0, 0, 0, 0, 0] = np.nan
  return state, batch


def passed_over(trained, state, batch):
  return state, None


def equal(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_step_with_nan_is_as_if_its_batch_was_passed_over(made):
  """Bit for bit: params, optimizer, running means, mean encoder and queue."""
  poisoned, scalars = states_of(made, nan_in_a_view)
  want, _ = states_of(made, passed_over)
  assert [int(s["skipped"]) for s in scalars] == [0, 1, 0]
  assert np.isnan(scalars[BAD]["loss"])
  for one, other in zip(poisoned, want, strict=True):
    equal(one, other)
  before, after, last = poisoned
  for field in ("params", "batch_stats", "ema", "queue"):
    equal(getattr(after, field), getattr(before, field))
    changed = jax.tree.map(
      lambda a, b: not np.array_equal(a, b),
      getattr(after, field),
      getattr(last, field),
    )
    assert any(jax.tree.leaves(changed)), field
  equal(
    optax.tree.get(after.opt_state, "trace"),
    optax.tree.get(before.opt_state, "trace"),
  )
  # The step counts: also for the rate of the next one.
  assert [int(state.step) for state in poisoned] == [1, 2, 3]
  counts = [optax.tree.get(state.opt_state, "count") for state in poisoned]
  assert [int(count) for count in counts] == [1, 2, 3]


@pytest.mark.parametrize("made", [(1, 1)], indirect=True, ids=["1x1"])
@pytest.mark.parametrize("what", ["update", "running means"])
def test_an_overflow_elsewhere_is_skipped(made, what):
  """Loss and gradient are finite; what they lead to is not."""
  trained, _ = made
  objective, tx = trained.objective, optax.sgd(0.1, momentum=0.9)
  if what == "update":
    tx = optax.chain(tx, optax.scale(1e30), optax.scale(1e30))
  else:

    def overflowing(*arguments):
      value, outcome = trained.objective.loss(*arguments)
      stats = jax.tree.map(lambda x: x + jnp.inf, outcome.batch_stats)
      return value, outcome._replace(batch_stats=stats)

    objective = dataclasses.replace(objective, loss=overflowing)
  update = step.make_update(objective, tx)
  state = trained.init_state()
  state = dataclasses.replace(state, opt_state=tx.init(state.params))
  batch = mesh_lib.to_devices(trained.mesh, stepping.batch(trained, 0))
  after, scalars, _ = jax.jit(update)(state, batch, jax.random.key(0))
  assert np.isfinite(scalars["loss"]) and np.isfinite(scalars["grad_norm"])
  assert scalars["skipped"] == 1
  equal(jax.device_get(after), jax.device_get(step.without_update(state)))


@pytest.mark.parametrize("made", [(1, 1)], indirect=True, ids=["1x1"])
def test_a_skipped_step_leaves_no_keys_that_count(made):
  """Its place in the queue is empty, if there was nothing before."""
  (*_, state), _ = states_of(made, passed_over)
  for keys in state.queue.values():
    held = key_queue.Queue(keys, state.step)
    filled = np.asarray(held.filled).reshape(keys.shape[:2])
    assert filled.all(axis=1).tolist() == [True, False, True]
    assert not filled[BAD].any()


def numbers(**changes):
  return {"loss": 1.0, "grad_norm": 2.0, "skipped": 0} | changes


NAN = numbers(loss=float("nan"), grad_norm=float("nan"), skipped=1)


def test_so_many_in_a_row_end_a_run(caplog):
  skips = skipping.Skips(2)
  with caplog.at_level(logging.WARNING):
    for number, scalars in enumerate([NAN, NAN, numbers(), NAN, NAN], start=1):
      bad = skips.add(number, scalars, [f"video{number}a", f"video{number}b"])
      assert bad == bool(scalars["skipped"])
  assert (skips.total, skips.in_a_row) == (4, 2)
  line = "step 4 is skipped, as its loss is nan; its videos: video4a, video4b"
  assert line in caplog.messages
  assert len(caplog.messages) == 4
  with pytest.raises(NonFiniteError, match=r"3 steps in a row .*steps=4:6$"):
    skips.add(6, NAN, [])


def test_the_row_goes_on_after_a_restart():
  skips = skipping.Skips(2)
  for number in (7, 8):
    skips.add(number, NAN, [])
  resumed = skipping.Skips(2, skips.saved)
  with pytest.raises(NonFiniteError, match=r"3 steps in a row .*steps=7:9$"):
    resumed.add(9, NAN, [])


@pytest.mark.parametrize(
  ("scalars", "what"),
  [
    (NAN, "loss is nan"),
    (numbers(grad_norm=float("inf"), skipped=1), "grad_norm is inf"),
    (numbers(skipped=1), "update is not finite"),
  ],
)
def test_what_is_not_finite_is_named(scalars, what):
  with pytest.raises(NonFiniteError, match=f"^{what} at step 3, and 1 "):
    skipping.Skips(0).add(3, scalars, [])


def test_skipped_steps_have_no_part_in_means():
  meter = metrics.Meter(1)
  for scalars in ({"loss": 1.0}, None, {"loss": 3.0}, None):
    meter.update(scalars, 0.0)
  line = meter.flush()
  assert (line["loss"], line["skipped"]) == (2.0, 2.0)
  assert meter.update(None, 0.0)["loss"] == "skipped"
  assert meter.flush().keys() == {"skipped", "clips_per_second", "data_wait"}
  meter.update({"loss": 5.0}, 0.0)
  assert "skipped" not in meter.flush()


def test_named_steps():
  named = skipping.NamedSteps.parse("3, 5:7,20")
  found = [number for number in range(30) if number in named]
  assert (found, named.last) == ([3, 5, 6, 7, 20], 20)
  assert skipping.NamedSteps.parse("").last == 0


@pytest.mark.parametrize(
  "text", ["x", "0", "3,", "5:2", "1:2:3", "-4", ":4", "²", "1.5"]
)
def test_what_names_no_step_is_refused(text):
  with pytest.raises(ConfigError, match=r"^config\.train\.skip_steps=.* names"):
    skipping.NamedSteps.parse(text)


def test_a_step_that_is_taken_is_refused():
  named = skipping.NamedSteps.parse("3,8:9")
  named.check_not_taken(skipping.NamedSteps.parse(""), 2)
  named.check_not_taken(skipping.NamedSteps.parse("1:5,8"), 8)
  with pytest.raises(ConfigError, match=r"step 8 is taken already, as .* 8:"):
    named.check_not_taken(skipping.NamedSteps.parse("3"), 8)


def test_only_counters_go_on():
  tx = optax.sgd(optax.constant_schedule(0.1), momentum=0.9)
  params = {"kernel": jnp.ones(2)}
  before = step.TrainState(jnp.int32(4), params, {}, tx.init(params), params)
  after = step.without_update(before)
  assert after.step == 5
  assert optax.tree.get(after.opt_state, "count") == 1
  equal(after.params, before.params)
