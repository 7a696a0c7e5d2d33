"""Every backbone's and method's step on one device and on eight."""

import chex
import jax
import numpy as np
import optax
import pytest

from hdc_jax.distributed import mesh
from tests import small

pytestmark = pytest.mark.slow

RUNS = small.BACKBONES | small.METHODS


@pytest.fixture(scope="module", params=RUNS)
def stepped(request):
  """The first state, and that after a step on 1 and on 8 devices."""
  states = []
  for devices in (1, 8):
    made = small.training(mesh.make_mesh(devices), **RUNS[request.param])
    state = made.init_state()
    first = jax.device_get(state)
    batch = mesh.to_devices(made.mesh, small.clips(0))
    state, metrics = made.train_step(state, batch)
    states.append(jax.device_get((state, metrics)))
  return first, *states


def test_devices_do_not_change_the_result(stepped):
  """Metrics, running means, and gradients (the optimizer's trace).

  Loss and means are exact. Gradients of these untrained networks magnify
  rounding: R3D-50's changes its norm by 0.5 % if its weights do by 1e-6.
  """
  _, (one, metrics_1), (eight, metrics_8) = stepped
  norms = metrics_1.pop("grad_norm"), metrics_8.pop("grad_norm")
  np.testing.assert_allclose(*norms, rtol=2e-2)
  chex.assert_trees_all_close(metrics_1, metrics_8, rtol=1e-4, atol=1e-5)
  chex.assert_trees_all_close(
    one.batch_stats, eight.batch_stats, rtol=1e-4, atol=1e-6
  )
  trace = optax.tree.get(one.opt_state, "trace")
  difference = optax.tree.sub(trace, optax.tree.get(eight.opt_state, "trace"))
  assert optax.tree.norm(difference) < 5e-2 * optax.tree.norm(trace)


def test_a_step_changes_everything(stepped):
  """Also the running means, where there are some: of the global batch."""
  before, (after, _), _ = stepped
  for collection in ("params", "batch_stats", "ema"):
    changed = jax.tree.map(
      lambda a, b: not np.array_equal(a, b),
      getattr(before, collection),
      getattr(after, collection),
    )
    assert all(jax.tree.leaves(changed))
  assert set(after.backbone()) == {"params", "batch_stats"}
