"""Every config builds and takes a step at reduced size; arguments parse."""

import importlib.util
import pathlib

import jax
import numpy as np
import pytest

from hdc_jax import config as config_lib
from hdc_jax.config import identity
from hdc_jax.distributed import mesh
from hdc_jax.errors import ConfigError
from hdc_jax.train import training
from tests import small

CONFIGS = sorted((pathlib.Path(__file__).parents[1] / "configs").glob("*.py"))
# It is of several tasks; see test_tables.py.
CONFIGS = [path for path in CONFIGS if path.stem != "tables"]


def load(path, arg=""):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config(arg)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_a_step_at_reduced_size(path):
  config = load(path)
  config.data.update(batch_size=2, frames=8, canvas=40)
  config.model.update(width=2, size=36)
  made = training.make_trainer(config, mesh.make_mesh(1))
  batch = mesh.to_devices(made.mesh, small.clips(0, batch=2))
  state, metrics = made.train_step(made.init_state(), batch)
  assert int(state.step) == 1
  assert np.isfinite(jax.device_get(metrics["loss"]))
  term = {"hdc": "1·temporal5", "cvrl": "1·nt_xent", "dsm": "1·dsm"}
  assert term[config.method.name] in made.loss


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_fields_and_arguments(path):
  config = load(path, "task=retrieve")
  assert config.task == "retrieve"
  names = identity.flatten(config_lib.default()).keys()
  assert identity.flatten(config).keys() == names


def test_the_papers_recipe():
  """RECIPES: HDC on Kinetics-400 with 3D-ResNet18."""
  (path,) = (p for p in CONFIGS if p.stem == "r3d18")
  got = identity.flatten(load(path))
  want = {
    "data.batch_size": 128,
    "data.frames": 16,
    "data.stride": 1,
    "data.canvas": 128,
    "model.size": 112,
    "model.width": 64,
    "model.stem": [],  # the backbone's own
    "model.norm": "instance",
    "model.shortcut": "",
    "model.dtype": "bfloat16",
    "method.blocks": [3, 4, 5],
    "method.weights": [0.25, 0.5, 1.0],
    "method.temperature": 0.07,
    "method.dim": 128,
    "optim.lr": 0.1,
    "optim.momentum": 0.9,
    "optim.decay": 1e-4,
    "optim.l2": 5e-5,
    "augment.scales": [1.0, 0.875, 0.75, 0.66],
  }
  assert {name: got[name] for name in want} == want


def test_parse_arg():
  parse = config_lib.parse_arg
  assert parse("", task="pretrain", n=3) == {"task": "pretrain", "n": 3}
  got = parse("task=retrieve,n=4,fast", task="", n=3, fast=False)
  assert got == {"task": "retrieve", "n": 4, "fast": True}
  with pytest.raises(ConfigError, match="'m' is not one of n"):
    parse("m=1", n=3)
  with pytest.raises(ConfigError, match="is not like 3"):
    parse("n=four", n=3)


def test_from_json_gives_tuples_again():
  config = config_lib.default()
  saved = config.to_dict() | {"method": {"weights": [1.0, 2.0]}}
  assert identity.from_json(saved).method.weights == (1.0, 2.0)
  assert identity.from_json(config.to_dict()) == config


def test_check_same_names_the_field():
  config, other = config_lib.default(), config_lib.default()
  other.train.steps = 7
  identity.check_same(config, other, identity.DECISIVE, "run")
  other.augment.jitter.hue = 0.5
  with pytest.raises(ConfigError, match=r"config\.augment\.jitter\.hue is 0.1"):
    identity.check_same(config, other, identity.DECISIVE, "run")
