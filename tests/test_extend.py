"""The code of docs/extend.md works in a copy of the package."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
_FILE = re.compile(
  r"^```(python|diff)\n# (hdc_jax/\S+\.py)\n(.*?)^```$",
  re.MULTILINE | re.DOTALL,
)


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
  """A copy of the checkout with the files and changes of the page."""
  copy = tmp_path_factory.mktemp("extended")
  for name in ("hdc_jax", "configs"):
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / name, copy / name, ignore=ignore)
  page = (ROOT / "docs" / "extend.md").read_text()
  for kind, file, text in _FILE.findall(page):
    path = copy / file
    if kind == "python":
      assert not path.exists()
      path.write_text(text)
    else:
      path.write_text(_changed(path.read_text(), text))
  return copy


def _changed(text, difference):
  """A file after some lines, marked by -, are replaced by others, by +."""
  for hunk in re.findall(r"(?:^-.*\n)+(?:^\+.*\n)+", difference, re.MULTILINE):
    lines = hunk.splitlines(keepends=True)
    before, after = (
      "".join(line[1:] for line in lines if line[0] == sign) for sign in "-+"
    )
    assert text.count(before) == 1, before
    text = text.replace(before, after)
  return text


def _run(copy, *arguments):
  """Runs a module of the copy."""
  done = subprocess.run(
    [sys.executable, "-m", *arguments],
    cwd=copy,
    env=os.environ
    | {
      "PYTHONPATH": str(copy),
      "JAX_PLATFORMS": "cpu",
      "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "compiled"),
      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.3",
    },
    capture_output=True,
    text=True,
  )
  assert not done.returncode, done.stderr


@pytest.mark.slow
def test_a_method_a_dataset_and_a_backbone(extended, write_video):
  """The method trains the backbone on the dataset."""
  for name in ("a.mp4", "b.mp4"):
    write_video(extended / name)
  lines = "a.mp4,walk,train\nb.mp4,run,train\n"
  (extended / "videos.csv").write_text(lines)
  _run(
    extended,
    "hdc_jax.prepare",
    "--dataset=listed",
    *("--source=.", "--splits=.", "--output=data", "--workers=1"),
  )
  index = json.loads((extended / "data" / "index.json").read_text())
  assert index["labels"] == {"class": ["run", "walk"]}
  _run(
    extended,
    "hdc_jax.main",
    "--config=configs/r3d18.py:method=simclr",
    *("--workdir=run", "--config.data.path=data"),
    *("--config.data.batch_size=2", "--config.data.frames=4"),
    *("--config.data.canvas=32", "--config.data.threads=1"),
    *("--config.model.name=plain", "--config.model.width=2"),
    *("--config.model.size=16", "--config.method.hidden=8"),
    *("--config.train.steps=1", "--config.train.log_every=1"),
  )
  (line,) = (extended / "run" / "metrics.jsonl").read_text().splitlines()
  assert "loss/nt_xent" in json.loads(line)
