"""Injected collapses are found within 50 steps, and healthy runs pass."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax import losses
from hdc_jax.augment import views as views_lib
from hdc_jax.data import sources
from hdc_jax.data.clips import loader, training_clips
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.methods import make_objective
from hdc_jax.train import monitor
from hdc_jax.train.training import make_training
from tests import small

pytestmark = pytest.mark.slow

BATCH, BATCHES, STEPS, EVERY, SIZE = 16, 6, 50, 5, 24


class Patches(nn.Module):
  """A backbone of two layers on patches, which compiles in a second."""

  @nn.compact
  def __call__(self, clips, train=False):
    frames = clips.reshape(*clips.shape[:2], SIZE // 4, 4, SIZE // 4, 4, 3)
    frames = jnp.moveaxis(frames, 3, 4)
    x = frames.reshape(*frames.shape[:4], 48)[:, ::2]
    for _ in range(2):
      x = nn.relu(nn.Dense(64)(x))
    return {"block5": x}


def positives_alone(anchors, positives, queue=None):
  """A loss without negatives."""
  loss = jnp.mean(jnp.sum((anchors - positives) ** 2, axis=2))
  return loss, 1 - loss


@pytest.fixture(scope="module")
def options(prepared):
  return small.options(
    data__path=prepared,
    data__batch_size=BATCH,
    data__frames=4,
    data__stride=2,
    data__canvas=SIZE + 4,
    model__size=SIZE,
    method__blocks=(5,),
    method__weights=(1.0,),
    # Colours make it easy to learn something in so few steps.
    augment__jitter__probability=0.0,
    augment__replication__probability=0.0,
    optim__lr=0.01,
    train__steps=STEPS,
    train__log_every=EVERY,
  )


@pytest.fixture(scope="module")
def method(options):
  return options.method.make(options.augment, SIZE)


@pytest.fixture(scope="module")
def views(options, method):
  """The augmented views of some batches of generated videos."""
  source = sources.open(options.dataset.path, options.short_side, "")
  cut = training_clips.make_cut(
    source,
    options.clips,
    records=source.index.split("train"),
    starts=method.starts,
  )
  batches = loader.training_batches(
    cut,
    options.loading,
    batch_size=BATCH,
    seed=0,
    first_step=0,
    process_index=0,
    process_count=1,
  )
  feed = loader.Feed(batches, 0.0)
  make = jax.jit(functools.partial(views_lib.make_views, method.views))
  return [make(jax.random.key(i), next(feed)) for i in range(BATCHES)]


def changed(method, contrast):
  """The method with another contrast in every term."""
  terms = [dataclasses.replace(t, contrast=contrast) for t in method.terms]
  return dataclasses.replace(method, terms=tuple(terms))


def without_heads(state):
  """The state with heads that map everything to the same vector."""
  params = {
    name: tree
    if name == "backbone"
    else jax.tree_util.tree_map_with_path(
      lambda path, x: jnp.full_like(x, path[-1].key == "bias"), tree
    )
    for name, tree in state.params.items()
  }
  return dataclasses.replace(state, params=params)


def train(options, method, views, rate=1.0, begin=lambda state: state):
  """The lines of a run's metrics, and what its monitor says about each.

  Args:
    options: Options of the run.
    method: Its method.
    views: The views of some batches, which repeat.
    rate: Factor of the learning rate.
    begin: Changes the first state.
  """
  optim = dataclasses.replace(options.optim, lr=options.optim.lr * rate)
  made = make_training(
    make_objective(method, Patches()),
    optim.make(STEPS),
    frames=4,
    size=SIZE,
    batch_size=BATCH,
    mesh=mesh_lib.make_mesh(1),
    seed=0,
  )
  update = jax.jit(made.update)
  judge = monitor.Monitor(made.objective.chance(BATCH), STEPS)
  state, lines, words, found = begin(made.init_state()), [], [], []
  for step in range(1, STEPS + 1):
    batch = {"views": views[step % len(views)]}
    state, metrics, pairs = update(state, batch, jax.random.key(0))
    if options.train.logged(step):
      metrics |= made.measure(pairs)
      line = {name: float(value) for name, value in metrics.items()}
      lines.append({"step": step} | line)
      found += judge.add(lines[-1])
      words.append(judge.word)
  return lines, words, found


COLLAPSES = {
  "rate": {"rate": 100.0},
  "temperature": {
    "contrast": functools.partial(losses.info_nce, temperature=5.0)
  },
  "positives": {"contrast": positives_alone},
  "head": {"begin": without_heads},
  "input": {"grey": True},
}
HEALTHY = {
  "info_nce": {},
  "symmetric": {
    "rate": 0.3,
    "contrast": functools.partial(
      losses.info_nce, temperature=0.07, symmetric=True
    ),
  },
}


def run(options, method, views, contrast=None, grey=False, **changes):
  if contrast:
    method = changed(method, contrast)
  if grey:
    views = [jnp.zeros_like(x) for x in views]
  return train(options, method, views, **changes)


@pytest.mark.parametrize("name", COLLAPSES)
def test_a_collapse_is_found(options, method, views, name):
  _, words, found = run(options, method, views, **COLLAPSES[name])
  assert found, words
  assert {finding.word for finding in found} == set(words) - {monitor.OK}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_passes(options, method, views, name):
  lines, words, found = run(options, method, views, **HEALTHY[name])
  assert set(words) == {monitor.OK}, (words, found)
  first, last = (
    np.mean([x["health/nearest/spatial5"] for x in part])
    for part in (lines[:2], lines[-2:])
  )
  assert last > max(first, 4 / BATCH)  # it has learned
