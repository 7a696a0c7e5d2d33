"""The examples in docstrings run, and say what they say."""

import doctest
import importlib
import pathlib

import pytest

import hdc_jax

PACKAGE = pathlib.Path(hdc_jax.__file__).parent
# PyTorch is installed for tests/interop alone.
TORCH = {"interop/encoders.py", "convert/torch_files.py"}
MODULES = [
  ".".join(("hdc_jax", *path.relative_to(PACKAGE).with_suffix("").parts))
  for path in sorted(PACKAGE.rglob("*.py"))
  if ">>> " in path.read_text() and str(path.relative_to(PACKAGE)) not in TORCH
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
  module = importlib.import_module(name.removesuffix(".__init__"))
  flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
  result = doctest.testmod(module, optionflags=flags)
  assert result.failed == 0
