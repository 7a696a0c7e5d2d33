"""The stem in one piece for TPU against the layers, and where it is used.

In most tests the convolution's values fit into bfloat16, so that all is exact
in float32 but for the order of sums.
"""

import functools
import importlib.util
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax.models import conv, norm, residual, tpu_stem
from hdc_jax.plan import compiling

NAMES = ("clips", "kernel", "scale", "bias")
SHAPE = {"strides": (1, 2, 2), "padding": (3, 3, 3)}


def integers(key, shape, spread):
  return jnp.round(spread * jax.random.normal(key, shape))


def layers(x, kernel, scale, bias, shape):
  """What `R3D` computes elsewhere, if activations are rounded to their dtype.

  XLA may keep more digits between a convolution and a norm.
  """
  y = conv.conv_xla(x, kernel, **shape)
  if y.dtype == jnp.bfloat16:
    y = jax.lax.reduce_precision(y, exponent_bits=8, mantissa_bits=7)
  y = norm.normalise(y, scale, bias, norm.EPSILON).astype(x.dtype)
  return conv.pool_xla(nn.relu(y), (3, 3, 3), (2, 2, 2), (1, 1, 1))


@functools.partial(jax.jit, static_argnums=(0, 1))
def outcome(function, spread, *arguments):
  """Values and gradients, for a cotangent of integers."""
  y, backward = jax.vjp(function, *arguments)
  cotangent = integers(jax.random.key(9), y.shape, spread).astype(y.dtype)
  return y, backward(cotangent)


def both(shape, *arguments, spread=3.0):
  """The outcomes of the layers, and of the stem in one piece."""
  stem = tpu_stem.make(**shape, epsilon=norm.EPSILON)
  plain = functools.partial(layers, shape=shape)
  return (outcome(f, spread, *arguments) for f in (plain, stem))


def assert_equal(want, got):
  """Equal but for the order of sums.

  The terms of the kernel's gradient, some 1,500 of both signs, are about 40
  times larger together than their sum, and so is its rounding.
  """
  np.testing.assert_allclose(got[0], want[0], rtol=1e-5, atol=1e-6)
  for name, one, other in zip(NAMES, got[1], want[1], strict=True):
    rounding = 1e-5 if name == "kernel" else 2e-6
    bound = rounding * np.abs(other).max()
    np.testing.assert_allclose(one, other, atol=bound, err_msg=name)


def affine(keys, features):
  """Scales and biases of both signs."""
  scale, bias = (jax.random.normal(key, (features,)) for key in keys)
  assert (scale < 0).any()
  assert (scale > 0).any()
  return scale, bias


@pytest.mark.parametrize("clips", [(2, 8, 20, 28, 3), (1, 4, 12, 12, 3)])
def test_equal_activations(clips):
  """Small integers, of which many are equal: the first one counts."""
  keys = jax.random.split(jax.random.key(0), 4)
  x = integers(keys[0], clips, 0.7)
  kernel = integers(keys[1], (7, 7, 7, 3, 6), 0.5)
  y = conv.conv_xla(x, kernel, **SHAPE)
  assert (y == y.astype(jnp.bfloat16)).all()
  assert len(np.unique(y)) < y.size / 8
  assert_equal(*both(SHAPE, x, kernel, *affine(keys[2:], 6)))


def test_any_activations():
  """Numbers of all sizes: the kernel picks a pixel's channel."""
  keys = jax.random.split(jax.random.key(1), 3)
  x = jax.random.normal(keys[0], (2, 8, 24, 16, 3)) * 2 + 1
  x = x.astype(jnp.bfloat16).astype(jnp.float32)
  kernel = jnp.eye(3).reshape(1, 1, 1, 3, 3)
  shape = {"strides": (1, 2, 2), "padding": (0, 0, 0)}
  assert_equal(*both(shape, x, kernel, *affine(keys[1:], 3)))


def test_bfloat16_is_as_near_to_float32_as_the_layers_are():
  """With rounded activations and gradients, as training has it."""
  keys = jax.random.split(jax.random.key(2), 4)
  x = jax.random.uniform(keys[0], (2, 8, 32, 32, 3), minval=-1.0)
  kernel = 0.05 * jax.random.normal(keys[1], (7, 7, 7, 3, 16))
  x, kernel = (a.astype(jnp.bfloat16) for a in (x, kernel))
  parameters = affine(keys[2:], 16)
  exact = (a.astype(jnp.float32) for a in (x, kernel))
  want, _ = both(SHAPE, *exact, *parameters)
  plain, got = both(SHAPE, x, kernel, *parameters)

  def distance(one, other):
    return np.linalg.norm(np.float32(one) - other) / np.linalg.norm(other)

  for name, reference, of_layers, of_stem in zip(
    ("values", *NAMES),
    *((y, *gradients) for y, gradients in (want, plain, got)),
    strict=True,
  ):
    assert of_stem.dtype == of_layers.dtype, name
    bound = 1.1 * distance(of_layers, reference) + 1e-6
    assert distance(of_stem, reference) < bound, name


def network(**options):
  """A stem, its pool and one block."""
  options = {"dtype": jnp.bfloat16} | options
  return residual.R3D(stage_sizes=(1, 0, 0, 0), **options)


def gradient(model, clips, **kwargs):
  """The jitted gradient of the loss of a block, and its arguments' shapes."""
  x = jax.ShapeDtypeStruct(clips, jnp.float32, **kwargs)
  variables = jax.eval_shape(model.init, jax.random.key(0), x)
  shapes = jax.tree.map(
    lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, **kwargs), variables
  )

  def loss(variables, x):
    return model.apply(variables, x)["block2"].astype(jnp.float32).sum()

  return jax.jit(jax.grad(loss)), (shapes, x)


def folds(platform, clips=(1, 4, 8, 8, 3), **options):
  """Whether a program for a platform has the gradient of a folded kernel."""
  function, shapes = gradient(network(**options), clips)
  lowered = function.trace(*shapes).lower(lowering_platforms=(platform,))
  return bool(re.search(r"\[0, 1, 2, f, b\]x", lowered.as_text()))


def test_only_tpus_have_it():
  assert folds("tpu")
  assert not folds("cuda")
  assert not folds("cpu")


@pytest.mark.parametrize(
  "options",
  [
    {"dtype": jnp.float32},
    {"norm": "batch"},
    {"width": 32},
    {"stem": (9, 7, 7)},  # 12 frames, 144 channels
    {"pool_window": (1, 3, 3), "pool_strides": (1, 2, 2)},
    {"stem_pool": False},
    {"clips": (1, 1, 8, 8, 3)},
    {"clips": (1, 4, 10, 8, 3)},
    {"clips": (1, 4, 8, 260, 3)},
  ],
  ids=str,
)
def test_other_stems_stay_as_they_are(options):
  assert not folds("tpu", **options)


@pytest.mark.skipif(
  importlib.util.find_spec("libtpu") is None,
  reason="libtpu, the compiler for TPU, is not installed (extra `tpu`)",
)
def test_nothing_is_computed_twice():
  """As compiled for v5e: neither features of full resolution nor a scatter."""
  compiling.use_cpu()
  chips = jax.sharding.SingleDeviceSharding(compiling.devices("v5e:1x1")[0])
  function, shapes = gradient(network(), (2, 4, 16, 16, 3), sharding=chips)
  quick = {"optimization_level": 9}  # XLA's O0
  with compiling.not_kept_by_jax():
    compiled = function.lower(*shapes).compile(compiler_options=quick)
  text = compiled.as_text()
  assert "bf16[1,8,8,2,256]" in text
  assert "[2,4,8,8,64]" not in text
  assert "select-and-scatter" not in text
