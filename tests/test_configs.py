"""Every config builds and takes a step at reduced size; arguments parse."""

import ast
import importlib.util
import pathlib

import chex
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
# These are r3d18's but for the backbone, which takes long to trace.
DEEPER = {"r2plus1d18", "r3d101", "r3d152", "slowonly50"}


def load(path, arg=""):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config(arg)


def reduced(path):
  """A config's training at reduced size, and a batch for it."""
  config = load(path)
  config.data.update(batch_size=2, frames=8, canvas=40, part="square")
  config.model.update(width=2, size=36)
  made = small.resolve(config).make_training(mesh.make_mesh(1))
  return made, mesh.to_devices(made.mesh, small.clips(0, batch=2))


@pytest.mark.parametrize(
  "path", [p for p in CONFIGS if p.stem not in DEEPER], ids=lambda p: p.stem
)
def test_a_step_at_reduced_size(path):
  """Traced, which finds what does not fit together, but not compiled."""
  made, batch = reduced(path)
  before = made.abstract_state()
  after, metrics, _ = jax.eval_shape(made.train_step, before, batch)
  chex.assert_trees_all_equal_shapes_and_dtypes(after, before)
  assert metrics["loss"].dtype == np.float32
  term = {"hdc": "1·temporal5", "cvrl": "1·nt_xent", "dsm": "1·dsm"}
  assert term[load(path).method.name] in made.objective.description


@pytest.mark.slow
def test_a_step_of_the_papers_recipe():
  """That of r3d18.py, in bfloat16 as it stands there."""
  (path,) = (p for p in CONFIGS if p.stem == "r3d18")
  made, batch = reduced(path)
  state, metrics, _ = made.train_step(made.init_state(), batch)
  assert int(state.step) == 1
  assert np.isfinite(jax.device_get(metrics["loss"]))


@pytest.mark.parametrize("name", sorted(DEEPER))
def test_only_the_backbone_differs(name):
  """From a config of which a step is traced."""
  like, path = (
    next(p for p in CONFIGS if p.stem == stem) for stem in ("r3d18", name)
  )
  for arg in ("", "method=cvrl", "task=finetune"):
    want, got = (load(p, arg) for p in (like, path))
    assert small.resolve(got).model.name == name
    options = got.model.to_dict() | want.model.to_dict()
    got.model.update(name="r3d18")
    assert got.model.to_dict().items() <= options.items()
    want.model, got.model = {}, {}
    assert got.to_dict() == want.to_dict()


@pytest.mark.parametrize(
  "task", [name for name in tasks.TASKS if name != "tables"]
)
@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_fields_and_arguments(path, task):
  """The fields of the task and the backbone, with values that it takes."""
  config = load(path, f"task={task}")
  assert config.task == task
  method = config.method.name if "method" in config else "hdc"
  names = ("model.name", "optim.schedule", "data.canvas", "probe.every")
  flat = identity.flatten(config.to_dict())
  chosen = {name: flat[name] for name in names if name in flat}
  like = config_lib.default(task, method, changes=chosen)
  assert flat.keys() == identity.flatten(like.to_dict()).keys()
  assert small.resolve(config).model.name == config.model.name


# Configs that depart from the paper whose method they are for.
DEPARTING = {
  *("cvrl_r3d50", "dsm_c3d", "i3d", "r3d34", "r3d50", "s3d", "tiny"),
  *DEEPER,
}


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
