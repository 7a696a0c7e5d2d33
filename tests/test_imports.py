"""Imports go down only, and never to TensorFlow or torch."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "hdc_jax"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each part may import of this package, besides itself and errors.
BELOW = {
  "errors": set(),
  "runtime": set(),
  "config": set(),
  "losses": set(),
  "augment": set(),
  "models": set(),
  "interop": set(),
  "distributed": set(),
  "data": {"config", "runtime"},
  "runs": {"config", "runtime"},
  "report": {"runs", "runtime"},
  "prepare": {"data", "runtime"},
  "train": {
    "augment",
    "config",
    "data",
    "distributed",
    "methods",
    "models",
    "runs",
    "runtime",
  },
  "methods": {"augment", "data", "losses", "models", "train"},
  "evaluate": {
    "augment",
    "config",
    "data",
    "distributed",
    "models",
    "report",
    "runs",
    "runtime",
    "train",
  },
  "convert": {
    "config",
    "distributed",
    "models",
    "runs",
    "runtime",
    "train",
  },
  "tasks": {
    "augment",
    "config",
    "data",
    "distributed",
    "evaluate",
    "methods",
    "models",
    "report",
    "runs",
    "runtime",
    "train",
  },
  "plan": {
    "config",
    "data",
    "distributed",
    "methods",
    "runs",
    "runtime",
    "tasks",
    "train",
  },
  "main": {"config", "distributed", "runtime", "tasks"},
}
# The only modules that may import torch.
TORCH = ("interop/encoders.py", "convert/torch_files.py")
# What else each may not import.
FORBIDDEN = {
  "data": {"jax", "flax", "optax"},
  "runtime": {"jax", "flax", "optax"},
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
  assert "torch" not in tops or str(path.relative_to(PACKAGE)) in TORCH
  assert not tops & FORBIDDEN.get(part, set())
  if part == "__init__":
    return
  inner = {n.split(".")[1] for n in names if n.startswith("hdc_jax.")}
  extra = inner - BELOW[part] - {part, "errors"}
  assert not extra, f"{path.name} imports {extra}"


def test_every_part_is_listed():
  parts = {p.relative_to(PACKAGE).parts[0] for p in MODULES}
  assert {p.removesuffix(".py") for p in parts} - {"__init__"} == set(BELOW)
