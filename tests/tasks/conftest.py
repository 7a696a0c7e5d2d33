"""Runs of tasks that are quick, or do nothing."""

import functools

import flax.linen as nn
import jax.numpy as jnp
import pytest

from hdc_jax.distributed import mesh
from hdc_jax.models import BACKBONES
from hdc_jax.tasks import finetune_trial, tables
from hdc_jax.tasks import table_rows as jobs_lib
from tests.tasks import planning


@pytest.fixture(scope="module")
def classifiers():
  """Training and scorer by number of classes, compiled once for a module."""
  make, made = finetune_trial.TrialRunner._make_networks, {}

  def make_once(trainer, classes, classification):
    if classes not in made:
      made[classes] = make(trainer, classes, classification)
    return made[classes]

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(finetune_trial.TrialRunner, "_make_networks", make_once)
    yield made


@pytest.fixture
def jobs(tmp_path, monkeypatch):
  """What runs the jobs of tables in `tmp_path`; no dataset is read."""
  made = planning.Jobs(tmp_path)
  monkeypatch.setattr(jobs_lib.Job, "run", lambda job: made.run(job))
  monkeypatch.setattr(tables.sources, "read_index", lambda path: None)
  return made


class Blocks(nn.Module):
  """Endpoints like a backbone's, of a layer each: quick to compile."""

  width: int
  norm: str
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x, train=False):
    endpoints = {}
    for block in range(1, 6):
      x = nn.tanh(nn.Dense(self.width * block)(x[:, :, ::2, ::2]))
      endpoints[f"block{block}"] = x
    return endpoints


@pytest.fixture
def quick(monkeypatch):
  """Makes programs that are small, for one device, and hardly optimised."""

  def module(_, width, norm, dtype, **own):
    return Blocks(width, norm, dtype)

  for name in ("c3d", "r3d18", "r2plus1d10"):
    for attribute, value in {
      "module": module,
      "fewest_frames": 1,
      "smallest_size": 1,
    }.items():
      monkeypatch.setattr(BACKBONES[name], attribute, value)
  for name, settings in {
    "make_mesh": {"devices": 1},
    "compiler_options": {"once": True},
  }.items():
    changed = functools.partial(getattr(mesh, name), **settings)
    monkeypatch.setattr(mesh, name, changed)
