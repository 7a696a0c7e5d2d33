"""Imports go down only, and never to TensorFlow or torch."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "hdc_jax"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each part may import of this package, besides itself and errors.
BELOW = {
  "errors": set(),
  "files": set(),
  "fields": set(),
  "config": {"fields"},
  "command": {"config", "progress"},
  "progress": set(),
  "workers": set(),
  "losses": set(),
  "augment": set(),
  "models": {"config"},
  "methods": {"config", "data", "models", "augment", "losses"},
  "data": {"config", "files", "progress", "workers"},
  "train": {
    "config",
    "data",
    "files",
    "methods",
    "models",
    "augment",
    "losses",
  },
  "rows": set(),
  "predictions": {"files"},
  "figures": {"rows"},
  "runs": {"config", "files", "predictions", "train"},
  "report": {"files", "figures", "runs"},
  "evaluate": {
    "files",
    "augment",
    "config",
    "data",
    "figures",
    "models",
    "predictions",
    "progress",
    "rows",
    "train",
  },
  "runners": {"data", "files", "progress", "workers"},
  "prepare_arguments": {"data", "runners"},
  "prepare": {"data", "files", "prepare_arguments", "progress", "runners"},
  "loop": {"config", "data", "progress", "train"},
  "preview": {"augment", "config", "data", "figures", "methods", "train"},
  "pretrain": {"config", "data", "loop", "report", "train"},
  "finetune": {
    "config",
    "data",
    "evaluate",
    "loop",
    "predictions",
    "report",
    "rows",
    "train",
  },
  "linear": {
    "config",
    "data",
    "evaluate",
    "models",
    "predictions",
    "report",
    "rows",
    "train",
  },
  "retrieve": {
    "config",
    "data",
    "evaluate",
    "models",
    "predictions",
    "report",
    "rows",
    "train",
  },
  "embed": {"files", "config", "data", "evaluate", "models", "train"},
  "papers": set(),
  "slices": set(),
  "estimates": {"data", "models", "train"},
  "planning": {"data", "estimates", "files", "rows", "slices", "train"},
  "plan": {
    "command",
    "config",
    "data",
    "files",
    "methods",
    "planning",
    "slices",
  },
  "tables": {
    "config",
    "data",
    "files",
    "finetune",
    "models",
    "papers",
    "pretrain",
    "report",
    "retrieve",
    "rows",
    "train",
  },
  "dry_run": {"config", "data", "estimates", "files", "papers", "tables"},
  "interop": set(),
  "convert": {"command", "config", "interop", "models", "train"},
  "preflight": {"config", "data", "files", "train"},
  "main": {
    "command",
    "config",
    "dry_run",
    "embed",
    "files",
    "finetune",
    "linear",
    "preflight",
    "preview",
    "pretrain",
    "retrieve",
    "tables",
    "train",
  },
}
# What else each may not import.
FORBIDDEN = {
  "data": {"jax", "flax", "optax"},
  "losses": {"flax", "optax", "grain"},
  "augment": {"flax", "optax", "grain"},
  "interop": {"jax", "optax", "grain"},
}


def imports(path):
  """Full names of all that a module imports."""
  names = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{path}: relative import"
      names |= {f"{node.module}.{alias.name}" for alias in node.names}
  return names


@pytest.mark.parametrize(
  "path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_direction(path):
  part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
  names = imports(path)
  tops = {name.split(".")[0] for name in names}
  assert not tops & {"tensorflow", "torchvision", "clu"}
  assert part == "interop" or "torch" not in tops
  assert not tops & FORBIDDEN.get(part, set())
  if part == "__init__":
    return
  inner = {n.split(".")[1] for n in names if n.startswith("hdc_jax.")}
  extra = inner - BELOW[part] - {part, "errors"}
  assert not extra, f"{path.name} imports {extra}"


def test_every_part_is_listed():
  parts = {p.relative_to(PACKAGE).parts[0] for p in MODULES}
  assert {p.removesuffix(".py") for p in parts} - {"__init__"} == set(BELOW)
