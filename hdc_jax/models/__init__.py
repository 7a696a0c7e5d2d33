"""Backbones by name: pure modules from clips to a dict of endpoints."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
import ml_collections

from hdc_jax import config as config_lib
from hdc_jax.models import norm, r3d

BACKBONES: dict[str, Callable[..., nn.Module]] = {
  "r3d18": functools.partial(r3d.R3D, stage_sizes=(2, 2, 2, 2)),
}


def make_backbone(config: ml_collections.ConfigDict) -> nn.Module:
  """The backbone that `config.model` describes.

  Args:
    config: `name`, `width`, `stem`, `shortcut`, `norm` and `dtype`.

  Raises:
    ConfigError: If a name is unknown; the message lists the valid ones.
  """
  choose = config_lib.choose
  backbone = choose("model.name", config.name, BACKBONES)
  choose("model.shortcut", config.shortcut, ("A", "B"))
  choose("model.norm", config.norm, norm.NORMS)
  choose("model.dtype", config.dtype, ("bfloat16", "float32"))
  return backbone(
    width=config.width,
    stem=config.stem,
    shortcut=config.shortcut,
    norm=config.norm,
    dtype=jnp.dtype(config.dtype),
  )
