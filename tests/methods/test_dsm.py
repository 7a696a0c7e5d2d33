"""DSM's term against float64 NumPy, its views and recipe, and the encoders."""

import itertools

import chex
import jax
import numpy as np
import pytest

from hdc_jax import config as config_lib
from hdc_jax.augment import colour, flow, geometry, warp
from hdc_jax.data.clips import sampling
from hdc_jax.distributed import mesh
from hdc_jax.errors import ConfigError
from hdc_jax.methods import make_objective
from hdc_jax.train import training
from tests import small
from tests.methods import embedding

VIDEOS = 5


def make(**fields):
  fields = {f"method__{k}": v for k, v in fields.items()}
  return small.make_method(method="dsm", **fields)


def embed(variables):
  """q, p and n of all videos."""
  head = variables["params"]["projection"]["Dense_0"]
  x = embedding.pooled(variables) @ np.float64(head["kernel"])
  return np.moveaxis(embedding.normalise(x + np.float64(head["bias"])), 1, 0)


def infonce(q, p, n, temperature=0.07):
  losses = []
  for i in range(VIDEOS):
    keys = [p[i], *(p[j] for j in range(VIDEOS) if j != i), n[i]]
    scores = np.exp([q[i] @ key / temperature for key in keys])
    losses.append(-np.log(scores[0] / scores.sum()))
  return np.mean(losses)


@pytest.mark.slow
@pytest.mark.parametrize("negative", ["shift", "flow"])
def test_value_and_views(negative):
  method = make(negative=negative)
  network, variables, views = embedding.make(method, VIDEOS)
  loss, _ = method.loss(network.apply(variables, views))
  np.testing.assert_allclose(loss, infonce(*embed(variables)), rtol=1e-5)
  q, p, n = method.views
  added = [set(v.transforms) - set(p.transforms) for v in (q, n)]
  o, *_ = small.make_method().views
  assert (q.crop, p.crop, n.crop) == (o.crop,) * 3
  assert added[0] == {warp.ThinPlateSpline()}
  if negative == "shift":
    assert method.starts == sampling.ShiftedStarts()
    assert (q.clip, p.clip, n.clip, added[1]) == (0, 0, 1, set())
  else:
    assert method.starts == sampling.IndependentStarts(1)
    assert (q.clip, p.clip, n.clip) == (0, 0, 0)
    assert added[1] == {flow.FlowScaling()}


def test_triplet_is_another_objective():
  method = make(objective="triplet", margin=0.3)
  (term,) = method.terms
  assert term.contrast.keywords == {"margin": 0.3}
  assert term.contrast.func.__name__ == "triplet"


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    (
      {"objective": "nce"},
      "config.method.objective: 'nce' is not one of infonce",
    ),
    ({"negative": "reverse"}, "'reverse' is not one of shift, flow"),
    ({"margin": 1.0}, "margin has an effect only with .*objective=triplet"),
    ({"hidden": (8,)}, r"config.method \(of dsm\): 'hidden' is not one of"),
  ],
)
def test_bad_configs(fields, message):
  with pytest.raises(ConfigError, match=message):
    make(**fields)


def test_the_published_recipe():
  """RECIPES: rotation, random crops, jitter, no flip; the rate and the decay.

  As numbers of the config, and as transforms of the views.
  """
  config = config_lib.default(method="dsm")
  options = small.resolve(config)
  q, p, n = options.method.make(options.augment, 224).views
  assert p.crop == geometry.ScaleJitterCrop(224, (0.875,))
  flip, rotation, jitter, replication = p.transforms
  assert (flip.probability, replication.probability) == (0.0, 0.0)
  assert rotation == warp.RandomRotation(10.0)
  strengths = colour.ShuffledColourJitter(1.0, 0.5, 0.5, 0.25, 0.5)
  assert jitter == strengths
  assert set(q.transforms) - set(p.transforms) == {warp.ThinPlateSpline()}
  assert n.transforms == p.transforms
  assert options.method.momentum == 0.999
  assert options.method.queue == round(3569 / 256) * 256
  assert options.batches.batch_size == 256
  assert options.train.steps == 200 * 240_000 / 256
  optim = options.optim
  assert (optim.lr, optim.momentum, 2 * optim.l2) == (0.003, 0.9, 1e-4)
  assert optim.decayed == "all"
  ends = [end * 200 for end in optim.boundaries]
  assert (optim.schedule, optim.factor) == ("steps", 0.1)
  np.testing.assert_allclose(ends, [120, 160])


@pytest.mark.slow
def test_a_network_can_be_asked_for_some_views():
  """As the encoder of the positives is: only these go through the backbone."""
  method = make()
  network, variables, views = embedding.make(method, VIDEOS)
  everything = network.apply(variables, views)
  keys = network.apply(variables, views, wanted=method.positives)
  assert set(keys) == set(method.positives)
  for key in keys:
    np.testing.assert_allclose(keys[key], everything[key], rtol=1e-6)


@pytest.fixture(scope="module")
def stepped():
  """States before and after two steps with a mean encoder of m = 0.9."""
  options = small.options(
    **small.METHODS["dsm"] | {"method__queue": 0},
    optim__l2=0.0,
    optim__lr=1.0,
    model__size=1,
    data__frames=1,
  )
  backbone = embedding.Recorded(VIDEOS, views=3)
  method = options.method.make(options.augment, options.model.size)
  made = training.make_training(
    make_objective(method, backbone),
    options.optim.make(options.train.steps),
    frames=1,
    size=1,
    batch_size=VIDEOS,
    mesh=mesh.make_mesh(1),
    seed=0,
  )
  views = embedding.number_views(VIDEOS, 3)
  states, losses = [made.init()], []
  update = jax.jit(made.update)
  for _ in range(2):
    state, metrics, _ = update(states[-1], {"views": views}, jax.random.key(0))
    states.append(state)
    losses.append(metrics["loss"])
  return jax.device_get((states, losses))


@pytest.mark.slow
def test_the_encoder_of_the_positives_is_a_running_mean(stepped):
  states, _ = stepped
  chex.assert_trees_all_equal(states[0].ema, states[0].params)
  for before, after in itertools.pairwise(states):
    want = jax.tree.map(
      lambda e, p: 0.9 * e + 0.1 * p, before.ema, after.params
    )
    chex.assert_trees_all_close(after.ema, want, rtol=1e-5, atol=1e-7)


def test_only_positives_are_of_the_running_mean(stepped):
  """In the second step it is another than what is trained."""
  (_, state, _), losses = stepped
  query, _, negative = embed({"params": state.params})
  _, positive, _ = embed({"params": state.ema})
  want = infonce(query, positive, negative)
  np.testing.assert_allclose(losses[1], want, rtol=1e-4)
  assert abs(want - infonce(*embed({"params": state.params}))) > 1e-3 * want


def test_gradients_reach_the_query_and_the_negative(stepped):
  """What the backbone gives for p does not change, for q and n it does."""
  states, _ = stepped
  first, second, _ = (s.params["backbone"]["block5"] for s in states)
  q, p, n = np.abs(second - first).max((0, 2, 3, 4, 5))
  assert min(q, n) > 1e-5
  assert p == 0.0
