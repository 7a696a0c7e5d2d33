"""Imports go down only, and never to TensorFlow or torch."""

import ast
import graphlib
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "hdc_jax"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The rooms from the ground up: what each may import of this package, besides
# itself and errors.
BELOW = {
  "errors": "",
  "runtime": "",
  "options": "runtime",
  "key_queue": "",
  "blocks": "",
  "losses": "blocks key_queue",
  "augment": "",
  "interop": "",
  "distributed": "runtime",
  "models": "options",
  "data": "options runtime",
  "runs": "options runtime",
  "checkpoints": "distributed options runs runtime",
  "report": "runs runtime",
  "prepare": "data runtime",
  "objective": "augment data",
  "health": "objective",
  "methods": "augment data key_queue losses models objective options",
  "train": "augment checkpoints data distributed health key_queue objective "
  "options runs runtime",
  "evaluate": "augment checkpoints data distributed models options report runs "
  "runtime train",
  "tasks": "augment checkpoints data distributed evaluate key_queue methods "
  "models options report runs runtime train",
  "config": "methods options tasks",
  "convert": "checkpoints config data distributed evaluate interop models "
  "options runs runtime tasks train",
  "plan": "config data distributed runs runtime tasks train",
  "api": "config convert data evaluate options prepare runtime tasks",
  "main": "config distributed runtime tasks",
}
# The only modules that may import torch.
TORCH = (
  "interop/encoders.py",
  "interop/modeling.py",
  "convert/onnx_files.py",
  "convert/torch_files.py",
)
# The only rooms that know configs as users write them: what is below has
# options.
CONFIGS = ("tasks", "config", "convert", "plan", "api")
# What else each may not import.
FORBIDDEN = {
  "options": {"jax", "flax", "optax"},
  "data": {"jax", "flax", "optax"},
  "runtime": {"jax", "flax", "optax"},
  "key_queue": {"flax", "optax", "grain"},
  "blocks": {"flax", "optax", "grain"},
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
  assert "ml_collections" not in tops or part in CONFIGS
  if part == "__init__":
    return
  inner = {n.split(".")[1] for n in names if n.startswith("hdc_jax.")}
  extra = inner - {*BELOW[part].split(), part, "errors"}
  assert not extra, f"{path.name} imports {extra}"


def test_modules_import_in_no_circle():
  """So that any of them can be imported first."""
  modules = {
    ".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts)
    for p in MODULES
  }
  graph = {}
  for path in MODULES:
    module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    names = imports(path)
    names |= {name.rpartition(".")[0] for name in names}
    graph[module] = names & modules
  graphlib.TopologicalSorter(graph).prepare()


def test_every_part_is_listed_above_what_it_imports():
  parts = {p.relative_to(PACKAGE).parts[0] for p in MODULES}
  assert {p.removesuffix(".py") for p in parts} - {"__init__"} == set(BELOW)
  rooms = list(BELOW)
  for number, below in enumerate(BELOW.values()):
    assert set(below.split()) <= set(rooms[:number])
