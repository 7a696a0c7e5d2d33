"""Backbones by name: pure modules from clips to a dict of endpoints."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import ml_collections

from hdc_jax.errors import ConfigError, choose
from hdc_jax.models import c3d, norm, r2plus1d, r3d


@dataclasses.dataclass(frozen=True)
class Backbone:
  """An entry of the registry.

  Attributes:
    make: Makes the module from `width`, `norm`, `dtype` and options.
    options: Which other fields of `config.model` it knows.
  """

  make: Callable[..., nn.Module]
  options: tuple[str, ...] = ()


# Fields that not all backbones have, and what leaves them to the backbone.
OPTIONS = {"stem": (), "shortcut": "", "stem_pool": True}

BACKBONES = {
  "c3d": Backbone(c3d.C3D),
  "r2plus1d10": Backbone(r2plus1d.R2PLUS1D10),
  "r3d18": Backbone(r3d.R3D18, tuple(OPTIONS)),
  "r3d34": Backbone(r3d.R3D34, tuple(OPTIONS)),
  "r3d50": Backbone(r3d.R3D50, tuple(OPTIONS)),
}


def chosen_options(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Those of `OPTIONS` that `config.model` does not leave to the backbone."""
  return {f: config[f] for f, own in OPTIONS.items() if config[f] != own}


def make_backbone(config: ml_collections.ConfigDict) -> nn.Module:
  """The backbone that `config.model` describes.

  Args:
    config: `name`, `width`, `norm`, `dtype` and `OPTIONS`.

  Raises:
    ConfigError: If a name is unknown (the message lists the valid ones), or an
      option is set that the backbone does not have.
  """
  backbone = choose("model.name", config.name, BACKBONES)
  choose("model.shortcut", config.shortcut, ("", "A", "B"))
  choose("model.norm", config.norm, norm.NORMS)
  choose("model.dtype", config.dtype, ("bfloat16", "float32"))
  options = chosen_options(config)
  for field in options.keys() - set(backbone.options):
    raise ConfigError(
      f"model.{field}={config[field]!r}: {config.name} has no such option, "
      f"leave it at {OPTIONS[field]!r}"
    )
  return backbone.make(
    width=config.width,
    norm=config.norm,
    dtype=jnp.dtype(config.dtype),
    **options,
  )
