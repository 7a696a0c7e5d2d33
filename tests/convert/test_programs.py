"""Exported programs of StableHLO: what they compute, and what stops them."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

import hdc_jax.convert
from hdc_jax.convert import command as convert
from hdc_jax.convert import encoder as encoder_lib
from hdc_jax.convert import formats, programs, stablehlo
from hdc_jax.errors import HdcError
from hdc_jax.evaluate import features
from hdc_jax.evaluate.features import Features
from tests import pages

# What a user runs, in a process that cannot import hdc_jax.
PROGRAM = """
import json, sys

class Missing:
  def find_spec(self, name, *_):
    if name.partition(".")[0] in ("hdc_jax", "flax"):
      raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import numpy as np

clips = np.load("clips.npy")
{code}
assert np.array_equal(features, encode.call(clips)["features"])
print(json.dumps(encode.platforms))
np.savez("found.npz", **encode.call(clips))
"""


def export(run, output, *more):
  return convert.main(
    ["export", f"--checkpoint={run}", f"--output={output}", *more]
  )


@pytest.fixture(scope="module")
def file(pretrained_run, tmp_path_factory):
  path = tmp_path_factory.mktemp("programs") / "encoder.stablehlo"
  assert export(pretrained_run, path) == 0
  return path


@pytest.fixture(scope="module")
def loaded(pretrained_run):
  return encoder_lib.load(pretrained_run)


@pytest.mark.slow
def test_runs_without_hdc_jax(file, loaded):
  """Another number of clips than was checked, on all platforms."""
  shape = json.loads((file.parent / f"{file.name}.json").read_text())["input"]
  clips = np.random.default_rng(1).uniform(-1, 1, (2, *shape["shape"][1:]))
  np.save(file.parent / "clips.npy", clips.astype("f4"))
  (code,) = pages.python_of("docs/export.md", "export.deserialize")
  done = subprocess.run(
    [sys.executable, "-c", PROGRAM.format(code=code)],
    cwd=file.parent,
    env=os.environ | {"JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
  )
  assert not done.returncode, done.stderr
  assert json.loads(done.stdout) == ["cpu", "cuda", "tpu"]
  describe = features.make_describe(loaded.backbone, Features())
  want = jax.jit(describe)(loaded.variables, clips.astype("f4"))
  with np.load(file.parent / "found.npz") as found:
    got = found["features"]
    assert got.dtype == np.float32
    difference = np.linalg.norm(got - want) / np.linalg.norm(want)
    assert difference < 1e-5
    block = found["block5"]
    np.testing.assert_allclose(block.mean((1, 2, 3)), got, rtol=1e-5)


@pytest.mark.slow
def test_what_the_file_says(file, loaded):
  said = json.loads((file.parent / f"{file.name}.json").read_text())
  assert said["format"] == "StableHLO"
  frames, size = loaded.config["data"]["frames"], loaded.backbone.size
  given = said["input"]
  assert given["axes"] == "BTHWC"
  assert given["shape"] == [None, frames, size, size, 3]
  assert given["short_side"] == 40  # the canvas of the config
  assert given["mean"] == given["std"] == [0.5, 0.5, 0.5]
  assert list(said["outputs"]) == [
    "features", "block1", "block2", "block3", "block4", "block5"
  ]  # fmt: skip
  width = said["outputs"]["block5"][-1]
  assert said["outputs"]["features"] == [None, width]
  assert said["model"]["name"] == "r3d18"
  assert said["difference"] <= 1e-5


@pytest.mark.parametrize(
  ("factor", "written"), [(1 + 1e-7, True), (1.001, False), (np.nan, False)]
)
def test_a_program_is_run_before_it_gets_its_name(
  loaded, tmp_path, monkeypatch, factor, written
):
  outputs = {name: np.ones((3, 2, 2, 2, 4), "f4") for name in programs.NAMES}
  found = outputs | {"block3": (outputs["block3"] * factor).astype("f4")}
  monkeypatch.setattr(
    programs, "make_outputs", lambda _: lambda *_: dict(outputs)
  )
  monkeypatch.setattr(stablehlo, "write", lambda path, _: path.write_bytes(b""))
  monkeypatch.setattr(stablehlo, "run", lambda *_: found)
  output = str(tmp_path / "x.stablehlo")
  if written:
    assert programs.write(loaded, output) < 1e-6
    assert {p.name for p in tmp_path.iterdir()} == {
      "x.stablehlo", "x.stablehlo.json"
    }  # fmt: skip
    return
  with pytest.raises(HdcError, match=r"its outputs differ from those of .* by"):
    programs.write(loaded, output)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ("output", "more", "message"),
  [
    ("x.stablehlo", "--layout=kenshohara", "no effect with x.stablehlo, which"),
    (
      "x.hlo",
      "",
      "'.hlo' is not one of .safetensors, .pt, .*.stablehlo, .onnx",
    ),
  ],
)
def test_refused(output, more, message, capsys, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert export("run", output, *filter(None, [more])) == 2
  assert message.split(".*")[0] in capsys.readouterr().err
  assert not list(tmp_path.iterdir())


def test_packages_of_onnx_are_missing(
  pretrained_run, tmp_path, monkeypatch, capsys
):
  monkeypatch.setitem(sys.modules, "onnxruntime", None)
  monkeypatch.delitem(sys.modules, "hdc_jax.convert.onnx_files", raising=False)
  monkeypatch.delattr(hdc_jax.convert, "onnx_files", raising=False)
  assert export(pretrained_run, tmp_path / "x.onnx") == 2
  assert "pip install torch onnx onnxruntime" in capsys.readouterr().err
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["bits", "missing", "dtype", "texts"])
def test_weights_are_read_back(tmp_path, change):
  """Of any format: what is read must be what was written."""
  wanted, texts = {"a": np.arange(3.0), "b": np.ones(2)}, {"model": "{}"}
  kept = dict(wanted)
  if change == "bits":
    kept["a"] = np.nextafter(kept["a"], 9)
  elif change == "missing":
    del kept["b"]
  elif change == "dtype":
    kept["b"] = kept["b"].astype("f4")
  said = {} if change == "texts" else texts
  broken = formats.Format(lambda _: (kept, said), lambda *_: None)
  with pytest.raises(HdcError, match="read back as"):
    broken.write_verified(tmp_path / "x", wanted, texts)
  whole = formats.Format(lambda _: (wanted, texts), lambda *_: None)
  whole.write_verified(tmp_path / "x", wanted, texts)
