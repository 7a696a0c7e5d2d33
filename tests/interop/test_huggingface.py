"""Exported folders in transformers, without hdc_jax and without a network."""

import os
import pathlib
import re
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
import torch

from hdc_jax.convert import command as convert
from hdc_jax.convert import encoder as encoder_lib
from hdc_jax.evaluate import features, pretrained
from hdc_jax.evaluate.features import Features
from tests import weights

pytest.importorskip("transformers")

ROOT = pathlib.Path(__file__).parents[2]

CASES = {
  "c3d": ("c3d", "batch", {}),
  "r2plus1d10": ("r2plus1d10", "instance", {}),
  "r3d18": ("r3d18", "group", {"stem": (3, 7, 7), "shortcut": "B"}),
  "r3d50": ("r3d50", "batch", {}),
}
SIZE = 48
# What a user runs, in a process that cannot import hdc_jax.
PROGRAM = """
import json, sys

class Missing:
  def find_spec(self, name, *_):
    if name.partition(".")[0] == "hdc_jax":
      raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModel

found = {}
for folder in sys.argv[1:]:
  model, report = AutoModel.from_pretrained(
    folder, trust_remote_code=True, output_loading_info=True
  )
  assert not any(report.values()), report
  assert not model.training
  name = folder.rpartition("/")[2]
  clips = torch.from_numpy(np.load(f"{folder}/../clips.npy"))
  with torch.no_grad():
    outputs = model(clips)
  found[name] = outputs.pooler_output.numpy()
  found[f"{name}/block2"] = outputs.hidden_states[1].numpy()
processor = AutoImageProcessor.from_pretrained(folder)
frames = list(np.load(f"{folder}/../frames.npy"))
shown = processor(frames, return_tensors="pt")
found["shown"] = shown["pixel_values"].numpy()
np.savez("found.npz", **found)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
  """What transformers makes of the folder of each encoder; their inputs."""
  root = tmp_path_factory.mktemp("huggingface")
  rng = np.random.default_rng(0)
  clips = rng.uniform(-1, 1, (2, 8, 3, SIZE, SIZE)).astype("f4")
  frames = rng.integers(0, 256, (8, 56, 80, 3), np.uint8)
  np.save(root / "clips.npy", clips)
  np.save(root / "frames.npy", frames)
  with pytest.MonkeyPatch.context() as patch:
    for name, (backbone, norm, options) in CASES.items():
      made = weights.backbone(backbone, norm, 8, size=SIZE, **options)
      variables = weights.plausible(
        weights.template(backbone, norm, 8, size=SIZE, **options)
      )
      config = {"model": {"name": backbone}, "data": {"frames": 8}}
      loaded = pretrained.Pretrained(root / "run", 0, config, made, variables)
      patch.setattr(encoder_lib, "load", lambda _, loaded=loaded: loaded)
      arguments = ["--checkpoint=run", "--format=huggingface"]
      output = f"--output={root / name}"
      assert convert.main(["export", *arguments, output]) == 0
  (root / "program.py").write_text(textwrap.dedent(PROGRAM))
  offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(root / "home")}
  done = subprocess.run(
    [sys.executable, "program.py", *(str(root / name) for name in CASES)],
    cwd=root,
    env=os.environ | offline,
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert not done.returncode, done.stderr
  with np.load(root / "found.npz") as file:
    return dict(file), clips, frames


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_same_features(found, name):
  outputs, clips, _ = found
  backbone, norm, options = CASES[name]
  made = weights.backbone(backbone, norm, 8, size=SIZE, **options)
  variables = weights.plausible(
    weights.template(backbone, norm, 8, size=SIZE, **options)
  )
  x = np.ascontiguousarray(clips.transpose(0, 1, 3, 4, 2))
  want = jax.jit(features.make_describe(made, Features()))(variables, x)
  difference = np.linalg.norm(outputs[name] - want) / np.linalg.norm(want)
  assert difference < 1e-5
  assert outputs[f"{name}/block2"].shape[:2] == (2, outputs_width(made))


def outputs_width(backbone):
  """Channels of block 2 at width 8."""
  return {"c3d": 16, "r3d50": 32}.get(backbone.name, 8)


@pytest.mark.slow
def test_frames_become_what_the_encoder_sees(found):
  """Their centre, in [-1, 1]; these need no scaling: 48 / (7/8) is 56."""
  outputs, _, frames = found
  centre = frames[:, 4:52, 16:64].transpose(0, 3, 1, 2)
  want = centre.astype(np.float64) / 127.5 - 1
  assert outputs["shown"].shape == (1, 8, 3, SIZE, SIZE)
  np.testing.assert_allclose(outputs["shown"][0], want, atol=1e-5)


@pytest.mark.slow
def test_code_of_the_readme(tmp_path, monkeypatch):
  """The lines that need PyTorch, with a file and a folder of a small C3D."""
  made = weights.backbone("c3d", width=4, size=SIZE)
  variables = weights.plausible(weights.template("c3d", width=4, size=SIZE))
  config = {"model": {"name": "c3d"}, "data": {"frames": 8}}
  loaded = pretrained.Pretrained(tmp_path, 0, config, made, variables)
  monkeypatch.setattr(encoder_lib, "load", lambda _: loaded)
  monkeypatch.chdir(tmp_path)
  for arguments in (
    ["--output=encoder.safetensors"],
    ["--output=first-encoder", "--format=huggingface"],
  ):
    assert convert.main(["export", "--checkpoint=run", *arguments]) == 0
  names = {"clips": torch.zeros(2, 3, 8, SIZE, SIZE)}
  found = re.findall(
    r"^```python\n(.*?)^```$",
    (ROOT / "README.md").read_text(),
    re.MULTILINE | re.DOTALL,
  )
  blocks = [b for b in found if re.search(r"interop|transformers", b)]
  assert len(blocks) == 2
  for block in blocks:
    exec(compile(block, "README.md", "exec"), names)
  want = names["endpoints"]["block5"].mean(dim=(2, 3, 4))
  torch.testing.assert_close(names["features"], want)
