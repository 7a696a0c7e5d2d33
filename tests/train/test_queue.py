"""The queue in the state: against NumPy, on several devices, and resumed."""

import itertools

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from hdc_jax.checkpoints import saving
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError
from hdc_jax.methods import make_objective
from hdc_jax.train import step as step_lib
from hdc_jax.train import training
from tests import small
from tests.methods import embedding

BATCH, BATCHES, STEPS = 4, 2, 5
METHODS = {
  "hdc": {"method__blocks": (5,), "method__weights": (1.0,)},
  "cvrl": {"method__hidden": ()},
  "dsm": {"method__objective": "infonce"},
  "dsm-triplet": {"method__objective": "triplet", "method__temperature": None},
}


def make(name, devices, queue=BATCH * BATCHES):
  """A training whose backbone is a table of features, with a mean encoder."""
  changes = METHODS[name] | {
    "method": name.partition("-")[0],
    "method__momentum": 0.5,
    "method__queue": queue,
    "data__batch_size": BATCH,
  }
  changes = {k: v for k, v in changes.items() if v is not None}
  defaults = small._SMALL | small._ALIKE
  if name == "dsm-triplet":
    del defaults["method__temperature"]
  config = small._config("pretrain", changes.pop("method"), defaults, changes)
  options = small.resolve(config)
  method = options.method.make(options.augment, 1)
  backbone = embedding.Recorded(BATCH, len(method.views))
  made = training.make_training(
    make_objective(method, backbone),
    options.optim.make(STEPS),
    frames=1,
    size=1,
    batch_size=BATCH,
    mesh=mesh_lib.make_mesh(devices),
    seed=0,
  )
  return method, made


def run(made, count, steps, state=None):
  """The states from the first on, and the losses, of some steps."""
  views = np.asarray(embedding.number_views(BATCH, count))
  batch = mesh_lib.to_devices(made.mesh, {"views": views})
  update = step_lib.jit(
    lambda state, batch: made.update(state, batch, jax.random.key(0)),
    made.mesh,
    donate=False,
  )
  states = [made.init_state() if state is None else state]
  losses = []
  for _ in range(steps):
    state, metrics, _ = update(states[-1], batch)
    states.append(state)
    losses.append(float(metrics["loss"]))
  return states, losses


@pytest.fixture(scope="module", params=METHODS)
def stepped(request):
  method, made = make(request.param, 1)
  return method, made, *run(made, len(method.views), STEPS)


def positives(method, made, state):
  """The keys of a batch, by the running mean of the parameters."""
  views = embedding.number_views(BATCH, len(method.views))
  network = made.objective.network
  keys = network.apply({"params": state.ema}, views, wanted=method.positives)
  return {e.name: np.asarray(key) for e, key in keys.items()}


def test_it_is_a_list_of_the_newest_keys(stepped):
  """A list in NumPy: values and order, for each term's positives."""
  method, made, states, _ = stepped
  fifo = []
  names = {term.positive.name for term in method.terms}
  assert set(states[0].queue) == names
  for step, (before, after) in enumerate(itertools.pairwise(states)):
    fifo = [*fifo, positives(method, made, before)][-BATCHES:]
    for name, queue in after.queue.items():
      assert queue.dtype == jnp.float32
      assert queue.shape[:2] == (BATCHES, BATCH)
      for age, keys in enumerate(reversed(fifo)):
        place = (step - age) % BATCHES
        np.testing.assert_allclose(queue[place], keys[name], atol=1e-6)
  assert len(fifo) == BATCHES < STEPS


def test_its_keys_are_negatives(stepped):
  """InfoNCE in NumPy, with the keys of the steps before (HDC and DSM)."""
  method, made, states, losses = stepped
  (first, *others) = method.terms
  if first.contrast.func.__name__ != "info_nce":
    pytest.skip("tests/test_key_queue.py has the other losses")
  temperature = first.contrast.keywords["temperature"]
  views = embedding.number_views(BATCH, len(method.views))
  fifo = []
  for state, got in zip(states, losses, strict=False):
    network = made.objective.network
    trained = network.apply(
      {"params": state.params}, views, wanted=method.trained
    )
    keys = positives(method, made, state)
    want = 0.0
    for term in (first, *others):
      anchors, *negatives = (np.float64(trained[e]) for e in term.trained)
      own = np.float64(keys[term.positive.name])
      earlier = [np.float64(k[term.positive.name]) for k in fifo]
      total = []
      for n in range(anchors.shape[1]):
        for i in range(BATCH):
          candidates = [own[i, n], *np.delete(own[:, n], i, 0)]
          candidates += [x[i, n] for x in negatives]
          candidates += [key for batch in earlier for key in batch[:, n]]
          scores = np.exp(np.array(candidates) @ anchors[i, n] / temperature)
          total.append(-np.log(scores[0] / scores.sum()))
      want += term.weight * np.mean(total)
    np.testing.assert_allclose(got, want, rtol=1e-4)
    fifo = [*fifo, keys][-BATCHES:]


@pytest.mark.parametrize("devices", [2, 4])
def test_devices_do_not_change_it(stepped, devices, request):
  """Each device holds its share, and states and losses stay the same."""
  method, _, states, losses = stepped
  _, made = make(request.node.callspec.params["stepped"], devices)
  got, got_losses = run(made, len(method.views), STEPS)
  np.testing.assert_allclose(got_losses, losses, rtol=1e-4)
  for name, queue in got[-1].queue.items():
    assert queue.dtype == jnp.float32
    shares = [shard.data.shape for shard in queue.addressable_shards]
    whole = queue.shape
    share = (BATCHES, BATCH // devices, *whole[2:])
    assert shares == [share] * devices
    np.testing.assert_allclose(queue, states[-1].queue[name], atol=1e-5)
  params = jax.device_get((got[-1].params, states[-1].params))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), *params
  )


@pytest.fixture
def saved(tmp_path):
  with saving.Checkpoints(tmp_path) as opened:
    yield opened


def test_it_is_restored_byte_for_byte(saved):
  """Two steps, a checkpoint, and three more, as five without a checkpoint."""
  method, made = make("hdc", 2)
  count = len(method.views)
  states, losses = run(made, count, STEPS)
  saved.save(2, states[2], {}, {})
  saved.wait()
  restored = made.restore_state(saved, 2).state
  resumed, resumed_losses = run(made, count, STEPS - 2, restored)
  assert resumed_losses == losses[2:]
  jax.tree.map(
    np.testing.assert_array_equal, *jax.device_get((resumed[-1], states[-1]))
  )
  # Another number of devices holds it in other shares.
  _, other = make("hdc", 4)
  again = other.restore_state(saved, 2).state
  jax.tree.map(
    np.testing.assert_array_equal, *jax.device_get((again, states[2]))
  )


@flax.struct.dataclass
class Earlier:
  """The state of versions without a queue."""

  step: jax.Array
  params: dict
  batch_stats: dict
  opt_state: tuple
  ema: dict


def test_checkpoints_without_a_queue_are_restored(saved, tmp_path):
  _, made = make("hdc", 1, queue=0)
  state = made.init_state()
  assert state.queue == {}
  fields = {name: getattr(state, name) for name in Earlier.__annotations__}
  with ocp.CheckpointManager(
    tmp_path / "checkpoints", item_names=("state", "data", "config")
  ) as manager:
    manager.save(
      0,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(Earlier(**fields)),
        data=ocp.args.JsonSave({}),
        config=ocp.args.JsonSave({}),
      ),
    )
  restored = made.restore_state(saved, 0).state
  jax.tree.map(
    np.testing.assert_array_equal, *jax.device_get((restored, state))
  )


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"method__queue": 16},
      "config.method.queue=16 needs a momentum encoder.*: set "
      "config.method.momentum, such as 0.999",
    ),
    (
      {"method__queue": 20, "method__momentum": 0.9},
      "config.method.queue=20 must be a multiple of config.data.batch_size=8: "
      "use 16 or 24",
    ),
    ({"method__queue": -8}, "config.method.queue=-8 must be at least 0"),
  ],
)
@pytest.mark.parametrize("method", ["hdc", "cvrl", "dsm"])
def test_bad_configs(method, changes, message):
  with pytest.raises(ConfigError, match=message):
    small.options(method=method, **changes)
