"""The Python of README.md and docs/api.md runs, block after block."""

import pathlib
import re
import textwrap

import pytest

# ml_collections reads config files by it.
pytestmark = pytest.mark.filterwarnings(
  "ignore:the load_module:DeprecationWarning"
)

ROOT = pathlib.Path(__file__).parents[1]
# tests/interop/test_huggingface.py runs these.
_TORCH = r"interop|transformers"
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Stands where the pages name a config file: the same fields, a tiny network.
_CONFIG = """
import sys

sys.path.insert(0, {root!r})
from hdc_jax import config
from tests import small


def get_config(arg=""):
  args = config.parse_arg(arg, task="pretrain")
  return small.tiny(**args, **{changes!r}.get(args["task"], {{}}))
"""
_CHANGES = {
  "pretrain": {"data__batch_size": 2},
  "retrieve": {"retrieve__topk": (1,), "test__clips": 1},
}


def blocks(page):
  """The Python of a page, but for that which needs PyTorch."""
  found = _PYTHON.findall((ROOT / page).read_text())
  return [block for block in found if not re.search(_TORCH, block)]


@pytest.fixture
def directory(quick, write_video, tmp_path, monkeypatch):
  """Where the pages are: with videos, their classes, and a config file."""
  for name in ("a.mp4", "b.mp4", "videos/x/1.mp4", "videos/y/2.mp4"):
    write_video(tmp_path / name, frames=40)
  text = _CONFIG.format(root=str(ROOT), changes=_CHANGES)
  (tmp_path / "configs").mkdir()
  (tmp_path / "configs" / "r3d18.py").write_text(textwrap.dedent(text))
  monkeypatch.chdir(tmp_path)
  return tmp_path


@pytest.mark.slow
def test_code_of_the_pages(directory, capsys):
  names = {}
  for block in blocks("docs/api.md"):
    exec(compile(block, "docs/api.md", "exec"), names)
  printed = capsys.readouterr().out
  assert "did you mean 'lr'?" in printed
  assert "class trained" in printed
  assert names["count"] == 10  # windows of 4 in 40 frames
  assert names["clips"].shape == (4, *names["features"].shape[1:])
  for block in blocks("README.md"):
    exec(compile(block, "README.md", "exec"), names)
  assert names["windows"].shape[0] == len(names["start"]) == 3
  assert (directory / "runs" / "first-retrieval" / "report.html").is_file()
