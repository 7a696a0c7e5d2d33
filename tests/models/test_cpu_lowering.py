"""Every lowering against SciPy in float64, its gradients, and its memory."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from hdc_jax import models
from hdc_jax.distributed import mesh
from hdc_jax.models import conv, cpu_lowering

# Input, kernel, strides, padding: of each kind that `fastest` tells apart, at
# odd and even sizes.
CASES = {
  "stem": ((2, 5, 12, 10, 3), (3, 7, 7, 3, 4), (1, 2, 2), (1, 3, 3)),
  "few channels": ((1, 3, 8, 8, 4), (3, 3, 3, 4, 4), (1, 1, 1), (1, 1, 1)),
  "strided": ((2, 4, 7, 6, 9), (3, 3, 3, 9, 5), (2, 2, 2), (1, 1, 1)),
  "even frames": ((1, 4, 6, 5, 9), (3, 3, 3, 9, 4), (1, 1, 1), (1, 1, 1)),
  "odd frames": ((2, 5, 7, 6, 9), (3, 3, 3, 9, 4), (1, 2, 2), (1, 1, 1)),
  "one frame": ((2, 1, 4, 4, 9), (3, 3, 3, 9, 4), (1, 1, 1), (1, 1, 1)),
  "unpadded": ((1, 5, 6, 6, 9), (3, 3, 3, 9, 4), (1, 1, 1), (0, 0, 0)),
  "few pixels": ((3, 2, 2, 2, 6), (3, 3, 3, 6, 4), (1, 1, 1), (1, 1, 1)),
  "temporal": ((2, 4, 5, 4, 6), (3, 1, 1, 6, 3), (1, 1, 1), (1, 0, 0)),
  "strided time": ((2, 5, 4, 4, 6), (3, 1, 1, 6, 3), (2, 1, 1), (1, 0, 0)),
  "spatial": ((2, 3, 6, 6, 4), (1, 3, 3, 4, 5), (1, 2, 2), (0, 1, 1)),
  "shortcut": ((2, 4, 6, 6, 4), (1, 1, 1, 4, 8), (2, 2, 2), (0, 0, 0)),
}
LOWERINGS = (
  cpu_lowering.conv_concat,
  cpu_lowering.conv_merged,
  cpu_lowering.conv_winograd,
  cpu_lowering.conv_patches,
)


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


def draw(case):
  x_shape, kernel_shape, strides, padding = CASES[case]
  rng = np.random.default_rng(0)
  x, kernel = rng.standard_normal(x_shape), rng.standard_normal(kernel_shape)
  return x, kernel, strides, padding


def suits(function, kernel, strides):
  """Winograd's filtering is of three taps without a stride."""
  winograd = function is cpu_lowering.conv_winograd
  return not winograd or (len(kernel) == 3 and strides[0] == 1)


@pytest.mark.parametrize("case", CASES)
def test_values(case):
  x, kernel, strides, padding = draw(case)
  want = reference(x, kernel, strides, padding)
  for function in (*LOWERINGS, conv.conv_xla, conv.conv3d):
    if suits(function, kernel, strides):
      got = jax.jit(function, static_argnums=(2, 3))(
        jnp.float32(x), jnp.float32(kernel), strides, padding
      )
      chex.assert_shape(got, want.shape)
      np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_xlas(case):
  """By input and kernel, also where the input's is a convolution itself."""
  x, kernel, strides, padding = draw(case)
  x, kernel = jnp.float32(x), jnp.float32(kernel)
  shape = conv.conv_xla(x, kernel, strides, padding).shape
  weights = jax.random.normal(jax.random.key(2), shape)
  functions = [conv.conv_xla, conv.conv3d]
  functions += [f for f in LOWERINGS if suits(f, kernel, strides)]

  def gradients(function):
    def loss(x, kernel):
      return jnp.sum(function(x, kernel, strides, padding) * weights)

    return jax.grad(loss, (0, 1))

  want, *others = jax.jit(
    lambda x, k: [gradients(function)(x, k) for function in functions]
  )(x, kernel)
  for got in others:
    for one, other in zip(got, want, strict=True):
      scale = np.abs(other).max()
      np.testing.assert_allclose(one, other, atol=1e-5 * scale)


def test_each_kind_gets_its_lowering():
  """The rule has no dead branch, and Winograd's is for float32 alone."""
  chosen = {}
  for case in CASES:
    x, kernel, strides, padding = draw(case)
    shape = (jnp.float32(x), kernel, strides, padding)
    chosen[case] = cpu_lowering.fastest(*shape).__name__
    half = cpu_lowering.fastest(jnp.bfloat16(x), *shape[1:])
    assert half is not cpu_lowering.conv_winograd
  assert set(chosen.values()) == {f.__name__ for f in LOWERINGS}
  assert chosen["stem"] == chosen["strided"] == "conv_concat"
  assert chosen["even frames"] == chosen["odd frames"] == "conv_winograd"
  assert chosen["few pixels"] == "conv_patches"
  assert chosen["temporal"] == "conv_merged"


def convolutions(name):
  """The distinct convolutions of a backbone at 16×112×112, one clip."""
  found = {}

  def record(x, kernel, strides, padding):
    found[x.shape, kernel.shape, strides, padding] = None
    return conv.conv_xla(x, kernel, strides, padding)

  model = models.BACKBONES[name](dtype="float32").make()
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(conv, "conv3d", record)
    jax.eval_shape(
      lambda: model.init(jax.random.key(0), jnp.zeros((1, 16, 112, 112, 3)))
    )
  return list(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["c3d", "r2plus1d10", "r3d18"])
def test_memory_is_bounded(name):
  """As the module says, at the paper's shapes, forward and backward."""
  cpu = mesh.compiler_options(mesh.make_mesh(1))
  checked = set()
  for x_shape, kernel_shape, strides, padding in convolutions(name):
    if kernel_shape[0] == 1:
      continue  # no temporal taps, nothing is copied
    x = jax.ShapeDtypeStruct(x_shape, jnp.float32)
    kernel = jax.ShapeDtypeStruct(kernel_shape, jnp.float32)
    checked.add(cpu_lowering.fastest(x, kernel, strides, padding).__name__)

    def forward(x, kernel, strides=strides, padding=padding):
      return conv.conv3d(x, kernel, strides, padding)

    def backward(x, kernel, cotangent, forward=forward):
      return jax.vjp(forward, x, kernel)[1](cotangent)

    y = jax.eval_shape(forward, x, kernel)
    taps, larger = kernel_shape[0], max(x.size, y.size)
    bound = 4 * (2 * (taps + 1) * larger + 4 * kernel.size)
    for function, args in ((forward, (x, kernel)), (backward, (x, kernel, y))):
      jitted = jax.jit(function, compiler_options=cpu)
      plan = jitted.lower(*args).compile().memory_analysis()
      assert plan.temp_size_in_bytes <= bound, (x_shape, kernel_shape)
  assert checked
