"""The code of docs/extend.md works as the page says."""

import pathlib
import re
import sys
import types

import jax
import jax.numpy as jnp
import pytest

from hdc_jax import models
from hdc_jax.data import datasets, sources
from hdc_jax.models import Backbone
from hdc_jax.prepare import command as prepare
from tests import small

_PAGE = pathlib.Path(__file__).parents[1] / "docs" / "extend.md"
_FILES = dict(
  re.findall(
    r"^```python\n# (hdc_jax/\S+\.py)\n(.*?)^```$",
    _PAGE.read_text(),
    re.MULTILINE | re.DOTALL,
  )
)


@pytest.fixture
def load(monkeypatch):
  """A function that makes a module of a file on the page."""

  def load(file):
    name = file.removesuffix(".py").replace("/", ".")
    module = types.ModuleType(name)
    # Dataclasses look up the module of a class.
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(_FILES[file], file, "exec"), module.__dict__)
    return module

  return load


def test_dataset(load, write_video, monkeypatch, tmp_path):
  module = load("hdc_jax/data/datasets/listed.py")
  monkeypatch.setitem(datasets.DATASETS, "listed", module.DATASET)
  for name in ("a.mp4", "b.mp4"):
    write_video(tmp_path / name)
  (tmp_path / "videos.csv").write_text("b.mp4,run,train\na.mp4,walk,test\n")
  output = tmp_path / "data"
  arguments = [f"--source={tmp_path}", f"--splits={tmp_path}", "--workers=1"]
  assert (
    prepare.main(["--dataset=listed", f"--output={output}", *arguments]) == 0
  )
  source = sources.open(output)
  (train,), (test,) = (source.index.split(name) for name in ("train", "test"))
  assert source[int(train)].id == "b.mp4"
  assert source[int(test)].label("class", 0) == 1
  assert source.index.labels == {"class": ["run", "walk"]}


@pytest.mark.parametrize("norm", ["instance", "batch", "group"])
def test_backbone(norm, load, monkeypatch):
  module = load("hdc_jax/models/plain.py")
  monkeypatch.setitem(models.BACKBONES, "plain", Backbone(module.Plain))
  config = small.config(model__name="plain", model__norm=norm)
  backbone = models.make_backbone(config.model)
  clips = jax.ShapeDtypeStruct((2, 16, 36, 36, 3), jnp.float32)
  endpoints, variables = jax.eval_shape(
    backbone.init_with_output, jax.random.key(0), clips
  )
  assert endpoints["block3"].shape == (2, 8, 5, 5, 4 * config.model.width)
  assert endpoints["block5"].shape == (2, 2, 2, 2, 16 * config.model.width)
  assert ("batch_stats" in variables) == (norm == "batch")
