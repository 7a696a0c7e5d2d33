"""A training with all that a state may have, which compiles in little time."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.methods import make_objective
from hdc_jax.models import norm as norm_lib
from hdc_jax.train import step, training
from tests import small

_BATCH, _BATCHES, _FRAMES, _SIZE = 8, 3, 2, 4


class Backbone(nn.Module):
  """One layer on every pixel, and batch norm with its running means."""

  @nn.compact
  def __call__(self, clips, train=False):
    norm = norm_lib.make_norm("batch", jnp.float32, train)
    return {"block5": nn.tanh(norm(name="norm")(nn.Dense(6)(clips)))}


def make(devices, count):
  """A training with a queue, a mean encoder and batch norm; its step.

  Args:
    devices: how many.
    count: of microbatches.
  """
  options = small.options(
    method="dsm",
    method__momentum=0.5,
    method__queue=_BATCH * _BATCHES,
    data__batch_size=_BATCH,
  )
  method = options.method.make(options.augment, _SIZE)
  tx = options.optim.make(100)
  made = training.make_training(
    make_objective(method, Backbone()),
    tx,
    frames=_FRAMES,
    size=_SIZE,
    batch_size=_BATCH,
    mesh=mesh_lib.make_mesh(devices),
    seed=0,
    microbatches=count,
  )
  update = step.make_update(made.objective, tx, count)
  take = step.jit(
    lambda state, batch: update(state, batch, jax.random.key(0)),
    made.mesh,
    donate=True,
  )
  return made, take


def batch(made, seed):
  """Random views of a batch."""
  rng = np.random.default_rng(seed)
  return {"views": np.float32(rng.uniform(-1, 1, (_BATCH, *made.views_shape)))}


def poisoned(made, bad):
  """A training in which a view of some steps has a NaN.

  Args:
    made: the training.
    bad: numbers of the steps.
  """

  def update(state, batch, key, show):
    def show_bad(batch, positions):
      shown = show(batch, positions)
      is_bad = jnp.isin(state.step + 1, np.array(bad))
      noise = jnp.where(is_bad, jnp.nan, 0.0)
      return {**shown, "views": shown["views"].at[(0,) * 6].add(noise)}

    return made.update(state, batch, key, show_bad)

  train_step = step.make_train_step(update, made.objective.views, made.mesh, 0)
  return dataclasses.replace(made, train_step=train_step)
