"""Weights of backbones to test with."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from hdc_jax import models
from hdc_jax.convert import layouts


def backbone(name, norm="batch", width=4, **options):
  """Options of a backbone, in float32 unless told otherwise."""
  fields = {"norm": norm, "width": width, "dtype": "float32"}
  return models.BACKBONES[name](**fields | options)


def template(name, norm="batch", width=4, **options):
  """Shapes of a backbone's variables."""
  return _template(backbone(name, norm, width, **options))


@functools.cache
def _template(options):
  clip = jnp.zeros((1, 16, 112, 112, 3))
  return jax.eval_shape(options.make().init, jax.random.key(0), clip)


def fill(shapes, seed=0):
  """Arrays of any bits at all: also infinities, -0, and NaNs."""
  rng = np.random.default_rng(seed)

  def draw(leaf):
    return rng.integers(2**32, size=leaf.shape, dtype=np.uint32).view("f4")

  return jax.tree.map(draw, shapes)


def plausible(shapes, seed=0):
  """Weights as of a trained network: nothing at what it begins with."""
  rng = np.random.default_rng(seed)

  def draw(path, leaf):
    kind = path[-1].key
    if kind == "kernel":
      deviation = np.sqrt(2 / np.prod(leaf.shape[:-1]))
      return (deviation * rng.standard_normal(leaf.shape)).astype("f4")
    value = rng.uniform(0.5, 1.5, leaf.shape)
    if kind in ("bias", "mean"):
      value *= rng.choice([-0.2, 0.2], leaf.shape)
    return value.astype("f4")

  return jax.tree_util.tree_map_with_path(draw, shapes)


def layout_of(name, backbone):
  """The layout of a repository for a backbone."""
  (found,) = [n for n in layouts.of(backbone) if n.name == name]
  return found
