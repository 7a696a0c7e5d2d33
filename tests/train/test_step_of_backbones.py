"""Every backbone's step on one device and on eight."""

import chex
import jax
import numpy as np
import pytest

from hdc_jax.train import sharding, trainer
from tests import small


@pytest.fixture(scope="module", params=small.BACKBONES)
def stepped(request):
  """The first state, and that after a step on 1 and on 8 devices."""
  config = small.config(**small.BACKBONES[request.param])
  states = []
  for devices in (1, 8):
    made = trainer.make_trainer(config, sharding.make_mesh(devices))
    state = made.init_state()
    first = jax.device_get(state)
    batch = sharding.to_devices(made.mesh, small.clips(0))
    state, metrics = made.train_step(state, batch)
    states.append(jax.device_get((state, metrics)))
  return first, *states


def test_devices_do_not_change_the_result(stepped):
  """Metrics, gradients (the optimizer's trace), and running means."""
  _, (one, metrics_1), (eight, metrics_8) = stepped
  chex.assert_trees_all_close(metrics_1, metrics_8, rtol=1e-3, atol=1e-4)
  chex.assert_trees_all_close(
    one.batch_stats, eight.batch_stats, rtol=1e-4, atol=1e-6
  )
  for a, b in zip(
    jax.tree.leaves(one.opt_state),
    jax.tree.leaves(eight.opt_state),
    strict=True,
  ):
    np.testing.assert_allclose(a, b, atol=1e-3 * np.abs(a).max())


def test_a_step_changes_everything(stepped):
  """Also the running means, where there are some: of the global batch."""
  before, (after, _), _ = stepped
  for collection in ("params", "batch_stats"):
    changed = jax.tree.map(
      lambda a, b: not np.array_equal(a, b),
      getattr(before, collection),
      getattr(after, collection),
    )
    assert all(jax.tree.leaves(changed))
  assert set(after.backbone()) == {"params", "batch_stats"}
