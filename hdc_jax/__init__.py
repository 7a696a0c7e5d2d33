"""Self-supervised pretraining of 3D CNNs on video, in JAX and Flax.

>>> import hdc_jax
>>> encoder = hdc_jax.load("runs/first")  # doctest: +SKIP
>>> features = encoder.embed(["a.mp4", "b.mp4"])  # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from hdc_jax.api import (
    Encoder,
    TimedFeatures,
    evaluate,
    load,
    prepare,
    pretrain,
  )

__all__ = [
  "Encoder",
  "TimedFeatures",
  "evaluate",
  "load",
  "prepare",
  "pretrain",
]
__version__ = "0.1.0"
# Functions of the API that are parts of the package as well.
_PARTS = ("evaluate", "prepare")


def __getattr__(name: str) -> Any:
  """Imports the API when it is first used: most commands need little of it."""
  if name in _PARTS:
    return importlib.import_module(f"hdc_jax.{name}")
  if name in __all__:
    return getattr(importlib.import_module("hdc_jax.api"), name)
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
  """The names of the API."""
  return [*__all__, "__version__"]
