"""Every config builds and takes a step at reduced size; arguments parse."""

import ast
import importlib.util
import pathlib

import jax
import numpy as np
import pytest

from hdc_jax import config as config_lib
from hdc_jax import tasks
from hdc_jax.distributed import mesh
from hdc_jax.errors import ConfigError
from hdc_jax.options import identity
from tests import small

CONFIGS = sorted((pathlib.Path(__file__).parents[1] / "configs").glob("*.py"))
# It is of several tasks; see test_tables.py.
CONFIGS = [path for path in CONFIGS if path.stem != "tables"]


def load(path, arg=""):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config(arg)


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_a_step_at_reduced_size(path):
  config = load(path)
  config.data.update(batch_size=2, frames=8, canvas=40, part="square")
  config.model.update(width=2, size=36)
  made = small.resolve(config).make_training(mesh.make_mesh(1))
  batch = mesh.to_devices(made.mesh, small.clips(0, batch=2))
  state, metrics = made.train_step(made.init_state(), batch)
  assert int(state.step) == 1
  assert np.isfinite(jax.device_get(metrics["loss"]))
  term = {"hdc": "1·temporal5", "cvrl": "1·nt_xent", "dsm": "1·dsm"}
  assert term[config.method.name] in made.objective.description


@pytest.mark.parametrize(
  "task", [name for name in tasks.TASKS if name != "tables"]
)
@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_fields_and_arguments(path, task):
  """The fields of the task and the backbone, with values that it takes."""
  config = load(path, f"task={task}")
  assert config.task == task
  method = config.method.name if "method" in config else "hdc"
  names = ("model.name", "optim.schedule", "data.canvas")
  flat = identity.flatten(config.to_dict())
  chosen = {name: flat[name] for name in names if name in flat}
  like = config_lib.default(task, method, changes=chosen)
  assert flat.keys() == identity.flatten(like.to_dict()).keys()
  assert small.resolve(config).model.name == config.model.name


# Configs that depart from the paper whose method they are for.
DEPARTING = {"cvrl_r3d50", "dsm_c3d", "r3d34", "r3d50", "tiny"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_the_first_line_says_what_departs_from_a_paper(path):
  first, *_ = ast.get_docstring(ast.parse(path.read_text())).splitlines()
  assert ("departs from" in first) == (path.stem in DEPARTING)
  assert ("the paper's recipe" in first) == (path.stem not in DEPARTING)


def test_the_rate_of_cvrl():
  """RECIPES: the official 0.32, of a sum of two directions, for one replica."""
  (path,) = (p for p in CONFIGS if p.stem == "cvrl_r3d50")
  config = load(path)
  assert config.optim.lr == 2 * 0.32
  assert "0.32 · 2 · replicas" in " ".join(path.read_text().split())


def test_the_papers_recipe():
  """RECIPES: HDC on Kinetics-400 with 3D-ResNet18."""
  (path,) = (p for p in CONFIGS if p.stem == "r3d18")
  got = identity.flatten(load(path).to_dict())
  want = {
    "data.batch_size": 128,
    "data.frames": 16,
    "data.stride": 1,
    "data.canvas": 0,  # as the dataset, of which the short side is 128
    "data.part": "square",
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
    "augment.max_distort": 1,
    "optim.schedule": "inverse_time",
    "optim.decayed": "kernels",
    "method.momentum": 0.0,
    "method.queue": 0,
  }
  assert {name: got[name] for name in want} == want


def test_parse_arg():
  parse = config_lib.parse_arg
  assert parse("", task="pretrain", n=3) == {"task": "pretrain", "n": 3}
  got = parse("task=retrieve,n=4,fast", task="", n=3, fast=False)
  assert got == {"task": "retrieve", "n": 4, "fast": True}
  with pytest.raises(ConfigError, match="'m' is not one of n"):
    parse("m=1", n=3)
  with pytest.raises(ConfigError, match="must have the type of 3"):
    parse("n=four", n=3)
