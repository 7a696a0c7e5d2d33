"""Folded convolutions against XLA's plain ones, in float32."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax.models import conv, folding

# Input, kernel, strides, padding; sizes that fill groups and blocks, and those
# that do not.
CASES = {
  "stem": ((2, 8, 12, 12, 3), (7, 7, 7, 3, 4), (1, 2, 2), (3, 3, 3)),
  "odd sizes": ((3, 5, 13, 11, 3), (7, 7, 7, 3, 4), (1, 2, 2), (3, 3, 3)),
  "one clip": ((1, 6, 8, 9, 3), (7, 7, 7, 3, 4), (1, 2, 2), (3, 3, 3)),
  "one frame": ((2, 1, 9, 8, 3), (7, 7, 7, 3, 4), (1, 2, 2), (3, 3, 3)),
  "strided time": ((2, 9, 8, 7, 3), (5, 7, 7, 3, 4), (2, 2, 2), (2, 3, 3)),
  "unpadded": ((2, 7, 9, 10, 3), (3, 5, 6, 3, 4), (1, 2, 2), (0, 0, 0)),
  "unstrided": ((2, 7, 5, 6, 3), (3, 3, 3, 3, 4), (1, 1, 1), (1, 1, 1)),
  "long strides": ((2, 9, 11, 8, 2), (3, 4, 5, 2, 4), (3, 3, 2), (2, 4, 1)),
  "one position": ((2, 3, 3, 3, 3), (3, 3, 3, 3, 4), (1, 2, 2), (0, 0, 0)),
  "skipped frames": ((2, 8, 6, 7, 3), (1, 3, 3, 3, 4), (3, 2, 2), (0, 1, 1)),
}


def draw(case, dtype=jnp.float32):
  """The arguments of a convolution, and the cotangent of its result."""
  x_shape, kernel_shape, *shape = CASES[case]
  y = jax.eval_shape(
    lambda x, kernel: conv.conv_xla(x, kernel, *shape),
    jax.ShapeDtypeStruct(x_shape, dtype),
    jax.ShapeDtypeStruct(kernel_shape, dtype),
  )
  keys = jax.random.split(jax.random.key(0), 3)
  shapes = (x_shape, kernel_shape, y.shape)
  draws = [
    jax.random.normal(key, shape, dtype)
    for key, shape in zip(keys, shapes, strict=True)
  ]
  return draws, shape


def plain(x, kernel, cotangent, shape):
  """The values, and the gradients of input and kernel, of XLA's own."""
  y, backward = jax.vjp(lambda x, k: conv.conv_xla(x, k, *shape), x, kernel)
  return y, *backward(cotangent)


def folded(x, kernel, cotangent, shape, frames):
  """The same of the folded one."""
  how = folding.Folding.of(x, kernel, *shape, frames)

  def convolve(x):
    taps = how.fold_kernel(kernel)
    y = folding.conv(how.fold_input(x, taps), taps)
    return folding.unfold_frames(y, frames)[:, : how.counts[0]]

  y, by_x = jax.vjp(convolve, x)
  taps, unfold = jax.vjp(how.fold_kernel, kernel.astype(jnp.float32))
  by_kernel = folding.kernel_gradient(
    how.fold_input(x, taps), folding.fold_frames(cotangent, frames)
  )
  return y, *by_x(cotangent), unfold(by_kernel)[0].astype(kernel.dtype)


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients(case):
  draws, shape = draw(case)
  frames = 2 if case == "strided time" else 4

  @jax.jit
  def compute(*draws):
    return plain(*draws, shape), folded(*draws, shape, frames)

  for want, got in zip(*compute(*draws), strict=True):
    chex.assert_equal_shape([got, want])
    scale = np.abs(want).max()
    np.testing.assert_allclose(got, want, atol=1e-6 * scale, rtol=1e-5)


def test_the_gradient_of_some_rows_and_columns():
  """The sum over the parts that hold every second one is the whole."""
  draws, shape = draw("stem")
  x, kernel, cotangent = draws
  how = folding.Folding.of(x, kernel, *shape, 4)
  taps = how.fold_kernel(kernel)
  x, cotangent = how.fold_input(x, taps), folding.fold_frames(cotangent, 4)
  want = folding.kernel_gradient(x, cotangent)
  got = sum(
    folding.kernel_gradient(
      x[:, h : x.shape[1] - 1 + h, w : x.shape[2] - 1 + w],
      cotangent[:, h::2, w::2],
      step=2,
    )
    for h in range(2)
    for w in range(2)
  )
  np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())


def test_the_gradient_of_a_kernel_is_rounded_once():
  """In bfloat16 too, where a folded kernel has each weight several times."""
  draws, shape = draw("stem", jnp.bfloat16)
  exact = [x.astype(jnp.float32) for x in draws]
  *_, got = jax.jit(lambda *draws: folded(*draws, shape, 4))(*draws)
  *_, want = jax.jit(lambda *draws: plain(*draws, shape))(*exact)
  assert got.dtype == jnp.bfloat16
  want = np.asarray(want)
  bound = 2**-8 * np.abs(want) + 1e-5 * np.abs(want).max()
  assert (np.abs(np.float32(got) - want) <= bound).all()


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_frames_come_back(frames):
  x = jax.random.normal(jax.random.key(0), (2, 7, 3, 4, 5))
  y = folding.fold_frames(x, frames)
  assert y.shape == (-(-7 // frames), 3, 4, 2, 5 * frames)
  back = folding.unfold_frames(y, frames)
  np.testing.assert_array_equal(back[:, :7], x)
  assert not back[:, 7:].any()
