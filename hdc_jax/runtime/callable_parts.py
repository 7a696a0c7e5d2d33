"""Parts of the package that are functions of the API as well.

`hdc_jax.prepare` is a folder of modules, and `hdc_jax.prepare(...)` calls the
function of this name in `hdc_jax.api`. Python would otherwise give the name to
one of the two, depending on what was imported last.
"""

import importlib
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any


class _CallablePart(types.ModuleType):
  """A part of the package that can be called."""

  def __call__(self, *args: Any, **kwargs: Any) -> Any:
    """Calls the function of the API."""
    return self._function(*args, **kwargs)

  @property
  def __signature__(self) -> inspect.Signature:
    """The signature of the function, for `help` and notebooks."""
    return inspect.signature(self._function)

  @property
  def _function(self) -> Callable[..., Any]:
    name = self.__name__.rpartition(".")[2]
    # By its name, as parts do not import what is above them.
    return getattr(importlib.import_module("hdc_jax.api"), name)


def make_callable(module: str) -> None:
  """Lets a part of the package be called.

  Args:
    module: Full name of the part: 'hdc_jax.prepare'.
  """
  sys.modules[module].__class__ = _CallablePart
