"""Every lowering against SciPy in float64, and against each other."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from hdc_jax.models import conv

# Input, kernel, strides, padding: a stem, a stride, a plane of few pixels.
CASES = [
  ((2, 5, 12, 10, 3), (3, 7, 7, 3, 4), (1, 2, 2), (1, 3, 3)),
  ((2, 4, 7, 6, 3), (3, 3, 3, 3, 5), (2, 2, 2), (1, 1, 1)),
  ((1, 3, 8, 8, 4), (3, 3, 3, 4, 4), (1, 1, 1), (1, 1, 1)),
  ((3, 2, 2, 2, 6), (3, 3, 3, 6, 4), (1, 1, 1), (1, 1, 1)),
  ((2, 4, 6, 6, 4), (1, 1, 1, 4, 8), (2, 2, 2), (0, 0, 0)),
]
LOWERINGS = [conv.conv_xla, conv.conv_taps, conv.conv_patches, conv.conv3d]


def reference(x, kernel, strides, padding):
  """Zero-padded strided correlation in float64."""
  x = np.pad(x, ((0, 0), *((p, p) for p in padding), (0, 0)))
  full = np.stack(
    [
      np.stack(
        [
          scipy.signal.correlate(clip, kernel[..., o], "valid")[..., 0]
          for o in range(kernel.shape[-1])
        ],
        axis=-1,
      )
      for clip in x
    ]
  )
  t, h, w = strides
  return full[:, ::t, ::h, ::w]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("lowering", LOWERINGS)
def test_values(lowering, case):
  x_shape, kernel_shape, strides, padding = case
  rng = np.random.default_rng(0)
  x, kernel = rng.standard_normal(x_shape), rng.standard_normal(kernel_shape)
  got = jax.jit(lowering, static_argnums=(2, 3))(
    jnp.float32(x), jnp.float32(kernel), strides, padding
  )
  want = reference(x, kernel, strides, padding)
  chex.assert_shape(got, want.shape)
  np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_xlas(case):
  x_shape, kernel_shape, strides, padding = case
  keys = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(keys[0], x_shape)
  kernel = jax.random.normal(keys[1], kernel_shape)
  weights = jax.random.normal(
    keys[2], conv.conv_xla(x, kernel, strides, padding).shape
  )

  def gradients(lowering):
    def loss(x, kernel):
      return jnp.sum(lowering(x, kernel, strides, padding) * weights)

    return jax.grad(loss, (0, 1))

  want, *others = jax.jit(
    lambda x, k: [gradients(lowering)(x, k) for lowering in LOWERINGS]
  )(x, kernel)
  for got in others:
    chex.assert_trees_all_close(got, want, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(2, 4, 6, 5, 3), (1, 1, 2, 7, 2)], ids=str)
def test_max_pool_is_xlas(shape):
  x = jax.random.normal(jax.random.key(0), shape)
  pools = (conv.pool_xla, conv.pool_maxima, conv.max_pool)
  want, *others = [
    jax.jit(jax.value_and_grad(lambda x, f=f: jnp.sum(f(x) ** 2)))(x)
    for f in pools
  ]
  chex.assert_equal_shape([f(x) for f in pools])
  for got in others:
    chex.assert_trees_all_close(got, want, rtol=1e-5)


def test_each_platform_gets_its_own_lowering():
  """On CPU no 3D convolution is left; elsewhere XLA's own is kept."""
  x, kernel = jnp.ones((1, 4, 8, 8, 2)), jnp.ones((3, 3, 3, 2, 2))

  def loss(x, kernel):
    return jnp.sum(conv.conv3d(x, kernel, (1, 1, 1), (1, 1, 1)) ** 2)

  def has_3d_convolution(platform):
    traced = jax.jit(jax.grad(loss, (0, 1))).trace(x, kernel)
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.convolution" in text
    return "[b, 0, 1, 2, f]" in text

  assert not has_3d_convolution("cpu")
  assert has_3d_convolution("tpu")
