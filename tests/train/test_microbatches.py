"""A step in microbatches: equal to that of the whole batch."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hdc_jax import objective as objective_lib
from hdc_jax.augment import views
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError
from hdc_jax.methods import make_objective
from hdc_jax.models import norm as norm_lib
from hdc_jax.train import microbatches, training
from hdc_jax.train import step as step_lib
from tests import small

BATCH, FRAMES, SIZE = 16, 2, 4
METHODS = {
  "hdc": {"method__blocks": (5,), "method__weights": (1.0,)},
  # Batch norm in the head takes its statistics over the whole batch.
  "cvrl": {"method": "cvrl", "method__hidden": (8,)},
  "dsm": {
    "method": "dsm",
    "method__momentum": 0.5,
    "method__queue": BATCH,
    "data__batch_size": BATCH,
  },
}


class Backbone(nn.Module):
  """One layer on every pixel, and its norm: compiled in no time."""

  norm: str = "instance"

  @nn.compact
  def __call__(self, clips, train=False):
    norm = norm_lib.make_norm(self.norm, jnp.float32, train)
    return {"block5": nn.tanh(norm(name="norm")(nn.Dense(6)(clips)))}


def make(name, devices, count, norm="instance"):
  """A training in `count` microbatches, on some devices."""
  options = small.options(**METHODS[name])
  method = options.method.make(options.augment, SIZE)
  return training.make_training(
    make_objective(method, Backbone(norm)),
    optax.sgd(0.1, momentum=0.9),
    frames=FRAMES,
    size=SIZE,
    batch_size=BATCH,
    mesh=mesh_lib.make_mesh(devices),
    seed=0,
    microbatches=count,
  )


def advance(made, count, views, steps=2):
  """The state, metrics and pairs after some steps on ready views."""
  update = step_lib.make_update(
    made.objective, optax.sgd(0.1, momentum=0.9), count
  )
  step = step_lib.jit(
    lambda state, batch: update(state, batch, jax.random.key(0)),
    made.mesh,
    donate=False,
  )
  state = made.init_state()
  for _ in range(steps):
    batch = mesh_lib.to_devices(made.mesh, {"views": views})
    state, metrics, pairs = step(state, batch)
  return jax.device_get((state, metrics, pairs))


def ready_views(made):
  """Random views of a batch."""
  rng = np.random.default_rng(0)
  return np.float32(rng.uniform(-1, 1, (BATCH, *made.views_shape)))


@pytest.mark.parametrize("name", METHODS)
def test_it_equals_the_whole_batch(name):
  """State with queue and running means, metrics and pairs; on 1, 4 devices."""
  results = []
  for devices, count in ((1, 1), (4, 2)):
    made = make(name, devices, count)
    results.append(advance(made, count, ready_views(made)))
  whole, parts = map(jax.tree.leaves, results)
  # Biases before a norm have no gradient but the rounding of the others.
  size = max(1.0, results[0][1]["grad_norm"])
  for a, b in zip(whole, parts, strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * size)


def recorded(batch, show, count, devices):
  """What a loss gets of a batch in microbatches, in the order of the batch."""
  parts = objective_lib.Parts(
    lambda params, variables, batch: (
      {name: jnp.float32(x) for name, x in batch.items()},
      {},
    ),
    lambda params, variables, features, batch_stats: (
      params * jnp.mean(features["views"]),
      objective_lib.Outcome({}, batch_stats, features, {}),
    ),
  )
  mesh = mesh_lib.make_mesh(devices)

  def compute(params, batch):
    (_, outcome), _ = microbatches.value_and_grad(
      parts, count, params, None, batch, show
    )
    return outcome.keys

  placed = mesh_lib.to_devices(mesh, batch)
  return jax.device_get(mesh_lib.jit(compute, mesh)(1.0, placed))


def test_draws_and_ids_are_the_same_bits():
  """By the position in the whole batch."""
  batch = small.clips(0, BATCH, 1, FRAMES, 8)
  batch["id"] = np.arange(BATCH, dtype=np.int32)[:, None]

  def draw(key, canvas):
    return jax.random.uniform(key, (FRAMES, SIZE, SIZE, 3))

  shown = [views.View("drawn", 0, draw)]

  def show(batch, positions):
    made = views.make_views(shown, jax.random.key(3), batch, positions)
    return {**batch, "views": made}

  want = jax.jit(lambda batch: show(batch, jnp.arange(BATCH)))(batch)
  assert len(np.unique(want["views"], axis=0)) == BATCH
  for count, devices in ((4, 1), (2, 4)):
    got = recorded(batch, show, count, devices)
    assert got.keys() == want.keys()
    for field, values in want.items():
      np.testing.assert_array_equal(got[field], values)


def test_batch_norm_takes_a_microbatch():
  """Running means advance once, by the mean of those of the microbatches."""
  made = make("hdc", 1, 2, "batch")
  views = ready_views(made)
  views[BATCH // 2 :] += 3.0
  before = jax.device_get(made.init_state())
  state, *_ = advance(made, 2, views, steps=1)
  dense = before.params["backbone"]["Dense_0"]
  x = views @ dense["kernel"] + dense["bias"]
  halves = [x[: BATCH // 2].reshape(-1, 6), x[BATCH // 2 :].reshape(-1, 6)]
  got = state.batch_stats["backbone"]["norm"]
  for name, values in (
    ("mean", np.mean([h.mean(0) for h in halves], axis=0)),
    ("var", np.mean([h.var(0) for h in halves], axis=0)),
  ):
    old = before.batch_stats["backbone"]["norm"][name]
    np.testing.assert_allclose(
      got[name], 0.9 * old + 0.1 * values, rtol=1e-4, atol=1e-5
    )


def test_memory_is_that_of_a_microbatch():
  """A quarter of the activations and of the views, and the features of all."""
  sizes = []
  for count in (1, 4):
    made = make("hdc", 1, count)
    # Larger views, whose activations are nearly all of the memory.
    shape = (64, made.views_shape[0], 8, 16, 16, 3)
    batch = {"views": jax.ShapeDtypeStruct(shape, jnp.float32)}
    update = step_lib.make_update(made.objective, optax.sgd(0.1), count)
    state = made.abstract_state()
    state = state.replace(opt_state=jax.eval_shape(optax.sgd(0.1).init, 0.0))
    step = jax.jit(lambda s, b, f=update: f(s, b, jax.random.key(0)))
    memory = step.lower(state, batch).compile().memory_analysis()
    sizes.append(memory.temp_size_in_bytes)
  # The views of the whole batch are no temporary memory, those of a
  # microbatch are: a copy of a part.
  views_size = 4 * np.prod(shape)
  assert sizes[1] < 0.27 * (sizes[0] + views_size)


@pytest.mark.parametrize(
  ("count", "batch", "message"),
  [
    (3, 8, "does not divide the 8 videos .*: use 2 or 4$"),
    (16, 8, "does not divide the 8 videos .*: use 8$"),
    (0, 8, "config.train.microbatches=0 must be at least 1"),
  ],
)
def test_a_number_that_does_not_divide_is_refused(count, batch, message):
  with pytest.raises(ConfigError, match=message):
    small.options(train__microbatches=count, data__batch_size=batch)


def test_a_device_has_too_few_videos():
  options = small.options(train__microbatches=4, data__batch_size=8)
  with pytest.raises(ConfigError, match=r"the 2 videos .*: use 2$"):
    options.check_devices(4)


def test_fine_tuning_has_no_such_option():
  with pytest.raises(ConfigError, match="microbatches"):
    small.options("finetune", train__microbatches=2)
