"""Exported programs of ONNX, run by onnxruntime."""

import json
import re

import jax
import numpy as np
import pytest

from hdc_jax.convert import command as convert
from hdc_jax.convert import encoder as encoder_lib
from hdc_jax.evaluate import features, pretrained
from hdc_jax.evaluate.features import Features
from tests import pages, weights

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

NAME, FRAMES, SIZE = "r3d18", 4, 36  # 2×2 positions in block5


@pytest.mark.slow
def test_the_same_features(tmp_path, monkeypatch, capsys):
  """Of any number of clips, in float32 though the run has bfloat16."""
  made = weights.backbone(NAME, size=SIZE, dtype="bfloat16")
  variables = weights.plausible(weights.template(NAME, size=SIZE))
  config = {"model": {"name": NAME}, "data": {"frames": FRAMES}}
  loaded = pretrained.Pretrained(tmp_path, 0, config, made, variables)
  monkeypatch.setattr(encoder_lib, "load", lambda _: loaded)
  file = tmp_path / "encoder.onnx"
  arguments = ["export", "--checkpoint=run", f"--output={file}"]
  assert convert.main(arguments) == 0
  printed, warned = capsys.readouterr()
  assert re.search("outputs differ by .*e-0[6-9]", printed) and not warned
  said = json.loads((tmp_path / "encoder.onnx.json").read_text())
  assert said["input"]["axes"] == "BCTHW"
  assert said["input"]["shape"] == [None, 3, FRAMES, SIZE, SIZE]
  assert said["clips"]["dtype"] == "float32"

  clips = np.random.default_rng(1).uniform(-1, 1, (4, 3, FRAMES, SIZE, SIZE))
  clips = clips.astype("f4")
  monkeypatch.chdir(tmp_path)
  names = {"clips": clips}
  (code,) = pages.python_of("docs/export.md", "InferenceSession")
  exec(compile(code, "docs/export.md", "exec"), names)
  session, got = names["session"], names["features"]
  in_float32 = weights.backbone(NAME, size=SIZE)
  describe = jax.jit(features.make_describe(in_float32, Features()))
  want = describe(variables, np.moveaxis(clips, 1, -1))
  assert np.linalg.norm(got - want) / np.linalg.norm(want) < 1e-4
  (one,) = session.run(["features"], {"clips": clips[:1]})
  np.testing.assert_allclose(one, got[:1], rtol=1e-4, atol=1e-6)
  shapes = {node.name: node.shape[1:] for node in session.get_outputs()}
  assert shapes == {name: shape[1:] for name, shape in said["outputs"].items()}
