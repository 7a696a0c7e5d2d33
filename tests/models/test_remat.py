"""Blocks that are computed twice: the same results, and fewer activations."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax import models
from hdc_jax.errors import ConfigError

ALL = (1, 2, 3, 4, 5)
CLIPS = jax.ShapeDtypeStruct((2, 8, 16, 16, 3), jnp.float32)


def make(name, norm="instance", blocks=()):
  options = models.BACKBONES[name](
    width=2, norm=norm, dtype="float32", remat=blocks
  )
  return options.make()


def loss(network, params, variables, clips):
  """A loss of all endpoints, and the new running means of batch norms."""
  endpoints, updated = network.apply(
    {**variables, "params": params}, clips, True, mutable=["batch_stats"]
  )
  return sum(jnp.sum(jnp.sin(x)) for x in endpoints.values()), updated


def kept(network):
  """Bytes besides parameters that are kept for the backward pass."""
  variables = dict(jax.eval_shape(network.init, jax.random.key(0), CLIPS))
  params = variables.pop("params")

  def residuals(params, variables, clips):
    return jax.vjp(
      lambda p: loss(network, p, variables, clips), params, has_aux=True
    )[1]

  found = jax.eval_shape(residuals, params, variables, CLIPS)
  return size(found) - size(params)


def size(tree):
  return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(
  ("name", "norm"), [("r3d18", "instance"), ("c3d", "batch")]
)
def test_loss_gradient_and_statistics_stay(name, norm):
  plain = make(name, norm)
  clips = jax.random.uniform(jax.random.key(1), CLIPS.shape, minval=-1)
  variables = dict(jax.jit(plain.init)(jax.random.key(0), clips))
  params = variables.pop("params")

  def of(network):
    def compute(*arguments):
      return loss(network, *arguments)

    return jax.jit(jax.value_and_grad(compute, has_aux=True))(
      params, variables, clips
    )

  got, want = of(make(name, norm, ALL)), of(plain)
  assert jax.tree.structure(got) == jax.tree.structure(want)
  for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-4 * np.abs(y).max())


@pytest.mark.parametrize("name", ["c3d", "r2plus1d10", "i3d"])
def test_each_block_that_is_listed_keeps_less(name):
  sizes = [kept(make(name, blocks=ALL[:n])) for n in (0, 1, 5)]
  assert sizes == sorted(set(sizes), reverse=True)
  # What goes into blocks is left.
  assert sizes[-1] < sizes[0] / 2


def test_networks_of_others_need_not_have_it():
  class Plain(nn.Module):
    width: int
    norm: str
    dtype: jnp.dtype

  class Options(models.BackboneOptions):
    name = "plain"

    def module(self, **options):
      return Plain(**options)

  assert Options().make().width == 64
  with pytest.raises(ConfigError, match=r"model\.remat=\(1,\): plain cannot"):
    Options(remat=(1,)).make()


def test_blocks_that_no_network_has():
  with pytest.raises(ConfigError, match=r"config\.model\.remat=\(0,\)"):
    make("r3d18", blocks=(0,))
