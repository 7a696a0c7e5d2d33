"""Encoders that `export` has written: opened by `hdc_jax.load`, and a card."""

import json
import re
import shutil

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import hdc_jax
from hdc_jax.convert import command as convert
from hdc_jax.errors import DataError
from hdc_jax.runs import results

VIDEO = np.random.default_rng(0).integers(0, 256, (9, 50, 60, 3), np.uint8)
FILES = {
  "README.md",
  "config.json",
  "encoders.py",
  "model.safetensors",
  "modeling_hdc_jax.py",
  "preprocessor_config.json",
}


def export(run, output, *more):
  return convert.main(
    ["export", f"--checkpoint={run}", f"--output={output}", *more]
  )


@pytest.fixture(scope="module")
def run(pretrained_run, tmp_path_factory):
  """A run with a config and a result."""
  path = tmp_path_factory.mktemp("exported") / "run"
  shutil.copytree(pretrained_run, path)
  result = {"steps": 7, "health": "ok", "best": {"value": 61.25}}
  more = {"task": "pretrain", "data_fingerprint": "1234abcd"}
  results.write_result(path, more | result)
  return path


@pytest.fixture(scope="module")
def file(run):
  path = run.parent / "encoder.safetensors"
  assert export(run, path) == 0
  return path


@pytest.fixture(scope="module")
def folder(run):
  path = run.parent / "folder"
  assert export(run, path, "--format=huggingface") == 0
  return path


def test_all_are_the_same_encoder(run, file, folder):
  want = hdc_jax.load(run)
  features = want.embed(VIDEO, clips=2)
  for path in (run / "checkpoints" / "0", file, folder):
    loaded = hdc_jax.load(path)
    assert loaded.backbone == want.backbone
    assert loaded.clips == want.clips
    assert loaded.embed(VIDEO, clips=2).tobytes() == features.tobytes()


def test_files_of_the_folder(folder):
  assert {path.name for path in folder.iterdir()} == FILES
  config = json.loads((folder / "config.json").read_text())
  assert config["encoder"]["name"] == "r3d18" and config["clips"]["frames"] == 4
  steps = json.loads((folder / "preprocessor_config.json").read_text())
  assert steps["crop_size"] == {"height": 36, "width": 36}
  assert steps["size"] == {"shortest_edge": 40}  # the canvas of the config


def test_the_card_has_what_the_run_says(folder, run):
  card = (folder / "README.md").read_text()
  rows = dict(re.findall(r"^\| (\S[^|]*) \| ([^|]*) \|$", card, re.MULTILINE))
  result = results.read_result(run)
  assert rows["steps"] == "7" and rows["health"] == "ok"
  assert rows["best.value"] == "61.25"
  assert rows["fingerprint of the data"] == "1234abcd"
  assert rows["device"] == result["device"]
  assert rows["jax"] == result["versions"]["jax"]
  assert rows["optim.lr"] == "0.1" and rows["method"] == "hdc"
  assert rows["block5"] == "1×2×2×16"
  assert "4, 3, 36, 36)" in card and "float32 [1, 16]" in card
  assert str(run.parent) not in card


def test_the_card_of_a_run_without_a_result(pretrained_run, tmp_path):
  assert export(pretrained_run, tmp_path / "x", "--format=huggingface") == 0
  card = (tmp_path / "x" / "README.md").read_text()
  assert "has no result.json" in card and "| hdc-jax | " in card


def test_no_path_of_the_machine_is_published(run, tmp_path):
  from hdc_jax.convert import encoder, exported, model_card

  loaded = encoder.load(str(run))
  loaded.config["data"]["path"] = "/home/someone/videos/"
  loaded.config["data"]["cache"] = "/home/someone/cache"
  clips = exported.describe_clips(loaded.backbone, loaded.config)
  card = model_card.describe(loaded, clips, {"block5": (1, 1, 1, 2)}, {})
  assert "someone" not in card and "| data | videos |" in card


@pytest.mark.parametrize(
  ("argv", "message"),
  [
    (["--layout=kenshohara"], "--layout has no effect with --format=hugg"),
    ([], "is there already: name a new folder"),
  ],
)
def test_refused_folders(argv, message, run, tmp_path, capsys):
  (tmp_path / "file").touch()
  argv = ["--format=huggingface", *argv]
  assert export(run, tmp_path, *argv) == 2
  assert message in capsys.readouterr().err
  assert [path.name for path in tmp_path.iterdir()] == ["file"]


def rewrite(path, change):
  """Changes the texts of a file."""
  with safetensors.safe_open(path, "np") as opened:
    texts = dict(opened.metadata())
  change(texts)
  arrays = safetensors.numpy.load_file(path)
  safetensors.numpy.save_file(arrays, path, texts)


def describe_as(model):
  return lambda texts: texts.update(model=json.dumps(model))


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda texts: texts.pop("clips"), "does not say which encoder"),
    (lambda texts: texts.update(clips="{"), "export the run again"),
    (lambda texts: texts.update(clips="[]"), "encoder.safetensors: "),
    (describe_as({"name": "r3d19"}), "'r3d19' is not one of .*'r3d18'"),
    (describe_as({"name": "r3d18", "width": "2"}), "width='2' must have"),
    (describe_as({"name": "r3d18", "width": 3}), "of another shape"),
  ],
)
def test_other_files(file, tmp_path, change, message):
  """Of older versions, or damaged."""
  copy = shutil.copy(file, tmp_path)
  rewrite(copy, change)
  with pytest.raises(DataError, match=message):
    hdc_jax.load(copy)


def test_no_file(file, tmp_path):
  with pytest.raises(DataError, match="not the directory of a run"):
    hdc_jax.load(tmp_path)
  damaged = tmp_path / "damaged.safetensors"
  damaged.write_bytes(file.read_bytes()[:-100])
  with pytest.raises(DataError, match=r"damaged\.safetensors cannot be read"):
    hdc_jax.load(damaged)
