"""What each platform computes; the lowerings have their own test."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from hdc_jax.errors import ConfigError
from hdc_jax.models import conv

POOLS = {
  "after the stem": ((2, 4, 6, 5, 3), (3, 3, 3), (2, 2, 2), (1, 1, 1)),
  "one frame": ((1, 1, 2, 7, 2), (3, 3, 3), (2, 2, 2), (1, 1, 1)),
  "space": ((2, 3, 5, 6, 2), (1, 3, 3), (1, 2, 2), (0, 1, 1)),
  "c3d": ((2, 5, 7, 4, 3), (2, 2, 2), (2, 2, 2), (0, 0, 0)),
}


@pytest.mark.parametrize("case", POOLS)
def test_max_pool_is_xlas(case):
  shape, *window = POOLS[case]
  x = jax.random.normal(jax.random.key(0), shape)
  want, got = (
    jax.jit(jax.value_and_grad(lambda x, f=f: jnp.sum(f(x, *window) ** 2)))(x)
    for f in (conv.pool_xla, conv.max_pool)
  )
  chex.assert_equal_shape(
    [f(x, *window) for f in (conv.pool_xla, conv.max_pool)]
  )
  chex.assert_trees_all_close(got, want, rtol=1e-5)


@pytest.mark.parametrize("window", [1, 2, 3, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_as_tensorflow(window, stride):
  """XLA's SAME, at even and odd sizes."""
  sizes, windows, strides = (4, 5, 1), (window,) * 3, (stride,) * 3
  x = jnp.ones((1, *sizes, 1))
  ends = jax.lax.padtype_to_pads(sizes, windows, strides, "SAME")
  padded, padding = conv.pad_as_tensorflow(x, windows, strides)
  assert padding == tuple(low for low, _ in ends)
  more = [
    size + high - low for size, (low, high) in zip(sizes, ends, strict=True)
  ]
  assert list(padded.shape[1:4]) == more
  assert padded.sum() == x.sum()  # zeros at the end


def test_a_convolution_and_a_pool_padded_as_tensorflow():
  x = jnp.abs(jax.random.normal(jax.random.key(0), (1, 4, 6, 5, 2)))
  module = conv.Conv3D(3, (7, 7, 7), (2, 2, 2), pad=conv.pad_as_tensorflow)
  kernel = jax.random.normal(jax.random.key(1), (7, 7, 7, 2, 3))
  got = jax.jit(module.apply)({"params": {"kernel": kernel}}, x)
  numbers = ("NDHWC", "DHWIO", "NDHWC")
  want = jax.lax.conv_general_dilated(
    x, kernel, (2, 2, 2), "SAME", dimension_numbers=numbers
  )
  chex.assert_trees_all_close(got, want, rtol=1e-4, atol=1e-4)

  def pool(x):
    x, padding = conv.pad_as_tensorflow(x, (3, 2, 2), (2, 2, 2))
    return conv.max_pool(x, (3, 2, 2), (2, 2, 2), padding)

  want = nn.max_pool(x, (3, 2, 2), (2, 2, 2), "SAME")
  chex.assert_trees_all_equal(jax.jit(pool)(x), want)


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
  assert has_3d_convolution("cuda")


@pytest.mark.parametrize(
  ("shape", "message"),
  [
    ((1, 1, 4, 4, 2), r"config\.data\.frames .* 2 positions receives 1"),
    ((1, 2, 1, 4, 2), r"config\.model\.size .* 2 positions receives 1"),
  ],
)
def test_what_fills_no_window_is_an_error(shape, message):
  with pytest.raises(ConfigError, match=message):
    conv.max_pool(jnp.ones(shape), (2, 2, 2), (2, 2, 2))
