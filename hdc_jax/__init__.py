"""Self-supervised pretraining of 3D CNNs on video, in JAX and Flax.

>>> import hdc_jax
>>> encoder = hdc_jax.load("runs/first")  # doctest: +SKIP
>>> features = hdc_jax.encode(encoder, "video.mp4")  # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from hdc_jax.api import Encoder, default, encode, load, run

__all__ = ["Encoder", "default", "encode", "load", "run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
  """Imports the API when it is first used: most commands need little of it."""
  if name in __all__:
    return getattr(importlib.import_module("hdc_jax.api"), name)
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
  """The names of the API."""
  return [*__all__, "__version__"]
