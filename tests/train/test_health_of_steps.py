"""What steps measure, for each method with a mean encoder and a queue."""

import jax
import numpy as np
import pytest

from hdc_jax import health
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.objective import Pair
from hdc_jax.train import step as step_lib
from tests.methods import embedding
from tests.train import test_queue

STEPS = 2


def measure(name, devices):
  """The method, and the metrics and embeddings of its first steps."""
  method, made = test_queue.make(name, devices)
  views = embedding.number_views(test_queue.BATCH, len(method.views))
  update = step_lib.jit(
    lambda state, batch: made.update(state, batch, jax.random.key(0)),
    made.mesh,
    donate=False,
  )
  batch = mesh_lib.to_devices(made.mesh, {"views": np.asarray(views)})
  state, steps = made.init_state(), []
  for _ in range(STEPS):
    network = made.objective.network
    trained, keys = (
      network.apply({"params": jax.device_get(params)}, views)
      for params in (state.params, state.ema)
    )
    state, metrics, pairs = update(state, batch)
    assert not any(name.startswith(health.PREFIX) for name in metrics)
    # Each device keeps the embeddings of its own videos.
    own = mesh_lib.batched(made.mesh)
    assert {x.sharding for x in jax.tree.leaves(pairs)} == {own}
    measured = {n: float(x) for n, x in made.measure(pairs).items()}
    steps.append((measured, trained, keys))
  return method, steps


@pytest.mark.parametrize("name", test_queue.METHODS)
def test_the_anchors_are_compared_with_the_keys_of_the_mean_encoder(name):
  method, steps = measure(name, 1)
  _, (measured, trained, keys) = steps
  pairs = {
    term.name: Pair(
      trained[term.anchor],
      keys[term.positive],
      (term.anchor.view, term.positive.view),
    )
    for term in method.terms
  }
  want = health.measure(pairs)
  assert set(measured) == set(want)
  for measure_name, value in want.items():
    assert measured[measure_name] == pytest.approx(
      float(value), rel=1e-3, abs=1e-5
    )


@pytest.mark.parametrize("name", ["hdc", "dsm"])
def test_devices_do_not_change_it(name):
  (_, ((_, *_), (one, *_))), (_, ((_, *_), (four, *_))) = (
    measure(name, devices) for devices in (1, 4)
  )
  assert one.keys() == four.keys()
  for measure_name, value in one.items():
    assert four[measure_name] == pytest.approx(float(value), rel=1e-3, abs=1e-5)


def test_chance_is_the_loss_of_embeddings_that_are_alike():
  """The logarithm of the number of keys, the full queue included."""
  batch, queue = test_queue.BATCH, test_queue.BATCH * test_queue.BATCHES
  chance = {
    name: list(test_queue.make(name, 1)[1].objective.chance(batch).values())
    for name in test_queue.METHODS
  }
  np.testing.assert_allclose(chance["hdc"], np.log(batch + queue), rtol=1e-5)
  np.testing.assert_allclose(
    chance["cvrl"], np.log(2 * batch - 1 + queue), rtol=1e-5
  )
  # Each anchor has a negative of its own, too.
  np.testing.assert_allclose(
    chance["dsm"], np.log(batch + 1 + queue), rtol=1e-5
  )
  # The margin, within videos and between them.
  np.testing.assert_allclose(chance["dsm-triplet"], 2 * 0.5, rtol=1e-4)
