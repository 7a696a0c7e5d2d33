"""The step on one device and on eight: equal, and only embeddings gathered."""

import re

import chex
import jax
import numpy as np
import optax
import pytest

from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError
from tests import small

STEPS = 3


@pytest.fixture(scope="module")
def made():
  """Trainings on 1 and 8 devices."""
  return {n: small.training(mesh_lib.make_mesh(n)) for n in (1, 8)}


@pytest.fixture(scope="module")
def advanced(made):
  """Params and metrics after each of a few steps, by number of devices.

  All begin a step with the state that one device came to, so that they differ
  by the rounding of that step alone: training magnifies what earlier ones left.
  """
  history = {devices: [] for devices in made}
  state = jax.device_get(made[1].init_state())
  for step in range(STEPS):
    states = {}
    for devices, run in made.items():
      batch = mesh_lib.to_devices(run.mesh, small.clips(step))
      begun = jax.device_put(state, run.shardings)
      states[devices], metrics, _ = run.train_step(begun, batch)
      params = jax.device_get(states[devices].params)
      history[devices].append((params, jax.device_get(metrics)))
    state = jax.device_get(states[1])
  return history


@pytest.mark.slow
def test_devices_do_not_change_the_result(advanced):
  """Loss, gradient norm, every term and the updated params."""
  for (params_1, metrics_1), (params_8, metrics_8) in zip(
    advanced[1], advanced[8], strict=True
  ):
    chex.assert_trees_all_close(metrics_1, metrics_8, rtol=1e-4, atol=1e-5)
    chex.assert_trees_all_close(params_1, params_8, rtol=1e-3, atol=1e-5)


def test_devices_do_not_change_the_gradients(made):
  """Of the first step, from what it adds to the momentum's trace."""
  traces = []
  for run in made.values():
    batch = mesh_lib.to_devices(run.mesh, small.clips(0))
    state, *_ = run.train_step(run.init_state(), batch)
    traces.append(jax.device_get(optax.tree.get(state.opt_state, "trace")))
  for one, eight in zip(*map(jax.tree.leaves, traces), strict=True):
    scale = np.abs(one).max()
    np.testing.assert_allclose(one, eight, atol=1e-4 * scale)


def test_steps_change_the_params(advanced, made):
  before = jax.device_get(made[1].init_state().params)
  (after, _), *_ = advanced[1]
  changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), before, after)
  assert all(jax.tree.leaves(changed))


def test_metrics_name_every_term(advanced):
  _, metrics = advanced[1][0]
  terms = [f"{c}{b}" for b in (3, 4, 5) for c in ("spatial", "temporal")]
  want = {f"{m}/{t}" for m in ("loss", "accuracy") for t in terms}
  assert set(metrics) == want | {"loss", "grad_norm", "skipped"}
  weights = {"3": 0.25, "4": 0.5, "5": 1.0}
  total = sum(weights[t[-1]] * metrics[f"loss/{t}"] for t in terms)
  np.testing.assert_allclose(metrics["loss"], total, rtol=1e-5)


def test_negatives_are_global(advanced):
  """With the negatives of its own device only, a loss near log 1 = 0."""
  _, metrics = advanced[8][0]
  assert metrics["loss/spatial5"] > 0.6 * np.log(8)


def test_only_embeddings_are_gathered(made):
  """What crosses devices forward is [B, N, D], never activations."""
  run = made[8]
  batch = mesh_lib.to_devices(run.mesh, small.clips(0))
  text = run.train_step.lower(run.init_state(), batch).compile().as_text()
  options = small.options()
  kinds = "all-gather|all-to-all|collective-permute|reduce-scatter"
  gathers = re.findall(rf"= (.*?) (?:{kinds})(?:-start)?\(", text)
  assert gathers, "no collective: are the negatives global?"
  positions = 2  # of block 3, the most
  largest = options.batches.batch_size * positions * options.method.dim
  for shapes in gathers:
    for dims in re.findall(r"\w+\[([\d,]*)\]", shapes):
      size = np.prod([int(d) for d in dims.split(",") if d], dtype=int)
      assert size <= largest, f"gathers {shapes}"
  # Each of the six terms needs the keys of all devices.
  assert len(gathers) >= 6


def test_augmentations_depend_on_the_step(made):
  """Same weights and clips at another step: another loss."""
  run = made[1]
  batch = mesh_lib.to_devices(run.mesh, small.clips(0))
  losses = []
  for step in (0, 0, 1):
    number = jax.device_put(np.int32(step), mesh_lib.replicated(run.mesh))
    state = run.init_state().replace(step=number)
    losses.append(float(run.train_step(state, batch)[1]["loss"]))
  assert losses[0] == losses[1] != losses[2]


def test_no_recompilation(advanced, made):
  """Neither of a state from elsewhere nor of one that a step has made."""
  assert len(advanced[1]) == STEPS
  for run in made.values():
    state = run.init_state()
    for step in range(2):
      batch = mesh_lib.to_devices(run.mesh, small.clips(step))
      state, *_ = run.train_step(state, batch)
  assert made[1].train_step._cache_size() == 1
  assert made[8].train_step._cache_size() == 1


@pytest.mark.parametrize(
  ("batch_size", "near"), [(9, "8 or 16"), (3, "8"), (0, "8")]
)
def test_uneven_batch_is_refused(batch_size, near):
  mesh_lib.check_batch_size("data.batch_size", 16, 8)
  message = f"data.batch_size={batch_size} does not.* 8 devices: use {near}$"
  with pytest.raises(ConfigError, match=message):
    mesh_lib.check_batch_size("data.batch_size", batch_size, 8)
