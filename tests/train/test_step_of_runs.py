"""Every backbone's and method's step on one device and on eight."""

import chex
import jax
import numpy as np
import optax
import pytest

from hdc_jax.distributed import mesh
from hdc_jax.models import BACKBONES
from tests import quick, small

pytestmark = pytest.mark.slow

RUNS = small.BACKBONES | small.METHODS


@pytest.fixture(scope="module", params=RUNS)
def stepped(request):
  """The first state, and that after a step on 1 and on 8 devices."""
  with pytest.MonkeyPatch.context() as patch:
    if request.param in small.METHODS:
      quick.use(patch.setattr)
    else:
      quick.use_views(patch.setattr)
    # Of each stage its first block, which has the strides and a shortcut.
    patch.setattr(BACKBONES["r3d50"], "depths", (1, 1, 1, 1))
    yield _step(RUNS[request.param])


def _step(changes):
  one, eight = (
    small.training(mesh.make_mesh(devices), **changes) for devices in (1, 8)
  )
  first = jax.device_get(one.init_state())
  states = []
  for made in (one, eight):
    begun = jax.device_put(first, made.shardings)
    batch = mesh.to_devices(made.mesh, small.clips(0))
    state, metrics, _ = made.train_step(begun, batch)
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
