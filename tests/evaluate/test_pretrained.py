"""Backbones of runs: exactly those that were saved, or an error."""

import shutil

import jax
import numpy as np
import pytest

from hdc_jax.checkpoints import saving
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import pretrained
from tests import small

# With running means: they are part of a backbone too.
BATCH = {"model__norm": "batch"}
# What each task's training takes besides the mesh: numbers of classes.
CLASSES = {"pretrain": (), "finetune": (3,)}


def model(**changes):
  """The options of a backbone."""
  return small.resolve(small.tiny(**changes)).model


@pytest.fixture(scope="module")
def mesh():
  return mesh_lib.make_mesh(2)


@pytest.fixture(scope="module", params=CLASSES)
def saved(request, mesh, tmp_path_factory):
  """A run's directory, and the state that was saved there."""
  workdir = tmp_path_factory.mktemp("run")
  config = small.tiny(task=request.param, **BATCH)
  training = small.resolve(config).make_training(mesh, *CLASSES[request.param])
  return workdir, small.save_run(workdir, training, config)


@pytest.mark.parametrize("reference", ["", "checkpoints/0"])
def test_the_backbone_is_what_was_saved(saved, mesh, reference):
  """Without anything else; replicated over the mesh."""
  workdir, state = saved
  found = pretrained.load(f"{workdir}/{reference}", mesh, model(**BATCH))
  assert found.name == f"{workdir}/checkpoints/0" and found.step == 0
  assert found.config["model"]["width"] == found.backbone.width == 2
  wanted = state.backbone()
  assert jax.tree.structure(found.variables) == jax.tree.structure(wanted)
  for one, other in zip(
    *map(jax.tree.leaves, (found.variables, wanted)), strict=True
  ):
    np.testing.assert_array_equal(one, other)
    assert one.sharding.is_fully_replicated and len(one.devices()) == 2
  assert jax.tree.leaves(found.variables["batch_stats"])


def test_a_head_may_have_running_means_alone(mesh, tmp_path):
  """CVRL's has, and then instance norm leaves the backbone none."""
  changes = small.METHODS["cvrl"] | {"model__norm": "instance"}
  config = small.tiny(**changes)
  options = small.resolve(config)
  state = small.save_run(tmp_path, options.make_training(mesh), config)
  assert state.batch_stats and not state.backbone()["batch_stats"]
  found = pretrained.load(str(tmp_path), mesh, options.model)
  assert found.variables["batch_stats"] == {}
  jax.tree.map(
    np.testing.assert_array_equal,
    found.variables["params"],
    state.backbone()["params"],
  )


@pytest.mark.parametrize(
  ("field", "value"), [("width", 4), ("norm", "batch"), ("stem", (1, 7, 7))]
)
def test_other_architectures_are_refused(pretrained_run, mesh, field, value):
  wanted = model(**{f"model__{field}": value})
  with pytest.raises(ConfigError, match=rf"config\.model\.{field} is "):
    pretrained.load(pretrained_run, mesh, wanted)
  with pytest.raises(ConfigError, match=rf"config\.model\.{field} is "):
    pretrained.check(pretrained_run, wanted)


def test_what_is_no_architecture_may_differ(pretrained_run, mesh):
  wanted = model(data__frames=8, model__size=32, optim__lr=3.0)
  assert pretrained.load(pretrained_run, mesh, wanted).step == 0
  pretrained.check(pretrained_run, wanted)


def empty(place):
  for file in place.rglob("*"):
    if file.is_file():
      file.write_bytes(b"")


def halve(place):
  for file in place.rglob("*"):
    if file.is_file():
      file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("damage", [empty, halve, shutil.rmtree])
@pytest.mark.parametrize("part", ["state", "config"])
def test_damage_is_named(pretrained_run, mesh, tmp_path, damage, part):
  copy = tmp_path / "copy"
  shutil.copytree(pretrained_run, copy)
  damage(copy / "checkpoints" / "0" / part)
  message = f"{copy}/checkpoints/0 is damaged: {part}/"
  with pytest.raises(DataError, match=message):
    pretrained.load(str(copy), mesh)


def lose(backbone):
  del backbone["block2_0"]["conv1"]


def enlarge(backbone):
  layer = backbone["block2_0"]["conv1"]
  layer["kernel"] = np.concatenate([layer["kernel"]] * 2)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lose, r"has no params\.backbone\.block2_0\.conv1\.kernel: it is of"),
    (enlarge, r"its .* is \[.*\] instead of \[.*\]: it is of another"),
  ],
)
def test_another_network_is_refused(saved, mesh, tmp_path, change, message):
  """Whose config says it is the same."""
  state = jax.tree.map(np.copy, saved[1])
  change(state.params["backbone"])
  with saving.Checkpoints(tmp_path) as saved:
    config = small.tiny(**BATCH)
    saved.save(7, state, {"step": 7}, config.to_dict())
    saved.wait()
  with pytest.raises(DataError, match=message):
    pretrained.load(str(tmp_path), mesh)


@pytest.mark.slow
def test_initial_weights_are_those_of_the_seed(mesh):
  one, same, other = (
    pretrained.initial(model(), seed, mesh) for seed in (0, 0, 1)
  )
  pairs = zip(*map(jax.tree.leaves, (one, same, other)), strict=True)
  changed = []
  for a, b, c in pairs:
    np.testing.assert_array_equal(a, b)
    changed.append(not np.array_equal(a, c))
  assert any(changed)
