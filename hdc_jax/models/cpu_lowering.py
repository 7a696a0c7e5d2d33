"""3D convolution and max pooling as a CPU computes them fast.

XLA's own operations are fast on TPU and GPU. On CPU they are not, and the
gradients of strided convolutions are pathological; 2D convolutions and matrix
products are fast. So there a convolution becomes one of the four functions
below, which differ in speed and memory (and rounding) alone, and a maximum is
taken over slices. `benchmarks/README.md` has the figures.

Speed costs memory. Besides what goes in and comes out, a convolution of kT
temporal taps, or its gradients, need at most 2·(kT + 1) times the larger of
input and output, and 4 times the kernel. XLA's own need nothing but about the
kernel forward, and some 3 times the larger of input and output backward.
"""

import functools
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp

Triple = tuple[int, int, int]

Lowering = Callable[[jax.Array, jax.Array, Triple, Triple], jax.Array]

# Up to this many output pixels per frame, patches beat 2D convolutions (2×2
# pixels of 512 channels: 111 against 2 GFLOP/s).
_MAX_PATCH_PIXELS = 8

# Up to this many input channels, one 2D convolution of all temporal taps beats
# several of few channels (the 7×7×7 stem: 139 against 81 GFLOP/s).
_MAX_CONCAT_CHANNELS = 8


def _pad(x: jax.Array, padding: Triple) -> jax.Array:
  return jnp.pad(x, ((0, 0), *((p, p) for p in padding), (0, 0)))


def output_shape(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> Triple:
  """The positions over T, H, W of a convolution of `x`, before padding."""
  sizes = zip(x.shape[1:4], kernel.shape[:3], strides, padding, strict=True)
  return tuple((size + 2 * p - k) // s + 1 for size, k, s, p in sizes)


def _tap(
  x: jax.Array, start: int, count: int, stride: int, axis: int
) -> jax.Array:
  return jax.lax.slice_in_dim(
    x, start, start + (count - 1) * stride + 1, stride, axis
  )


def _conv_frames(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """A 2D convolution [kH, kW, C, O] of every frame of [B, T, H, W, C]."""
  frames = x.reshape(-1, *x.shape[2:])
  if kernel.shape[:2] == (1, 1):  # else its gradient stays a convolution
    y = frames[:, :: strides[1], :: strides[2]] @ kernel[0, 0]
  else:
    y = jax.lax.conv_general_dilated(
      frames,
      kernel,
      strides[1:],
      [(p, p) for p in padding[1:]],
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
  return y.reshape(*x.shape[:2], *y.shape[1:])


def _seen(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> list[int]:
  """The temporal taps that see more than padding.

  Of a single frame, which is what is left at the end of a deep network, a
  kernel of three sees one.
  """
  size, pad = x.shape[1], padding[0]
  count, _, _ = output_shape(x, kernel, strides, padding)
  starts = range(0, count * strides[0], strides[0])
  return [
    tap
    for tap in range(len(kernel))
    if any(pad <= start + tap < pad + size for start in starts)
  ]


def conv_concat(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """One 2D convolution of frames that hold all temporal taps as channels.

  Needs kT copies of `x` besides, at the output's positions over T.
  """
  count, _, _ = output_shape(x, kernel, strides, padding)
  seen = _seen(x, kernel, strides, padding)
  merged = jnp.concatenate([kernel[tap] for tap in seen], axis=2)
  x = _pad(x, (padding[0], 0, 0))
  taps = [_tap(x, tap, count, strides[0], 1) for tap in seen]
  return _conv_frames(jnp.concatenate(taps, -1), merged, strides, padding)


def conv_merged(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """One 2D convolution that gives all temporal taps, which are then shifted.

  Needs kT times the output of stride 1 over T besides.
  """
  count, _, _ = output_shape(x, kernel, strides, padding)
  seen = _seen(x, kernel, strides, padding)
  merged = jnp.concatenate([kernel[tap] for tap in seen], axis=3)
  y = _conv_frames(x, merged, strides, padding)
  parts = jnp.split(y, len(seen), axis=-1)
  # Padded one by one, which joins the sum; padded whole, y would be copied.
  parts = (_pad(part, (padding[0], 0, 0)) for part in parts)
  shifted = zip(seen, parts, strict=True)
  return functools.reduce(
    jnp.add, (_tap(part, tap, count, strides[0], 1) for tap, part in shifted)
  )


def conv_winograd(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """Two frames of output from four 2D convolutions, for three temporal taps.

  Winograd's minimal filtering F(2, 3) over T (Lavin and Gray, CVPR 2016), which
  multiplies 4 times where the sum of taps does 6; stride 1 over T. Needs four
  times the input and the output besides, at half of their frames.
  """
  count, _, _ = output_shape(x, kernel, strides, padding)
  tiles = (count + 1) // 2
  ends = (padding[0], 2 * tiles + 2 - x.shape[1] - padding[0])
  x = jnp.pad(x, ((0, 0), ends, (0, 0), (0, 0), (0, 0)))
  d0, d1, d2, d3 = (_tap(x, i, tiles, 2, 1) for i in range(4))
  g0, g1, g2 = kernel
  outer, inner = (g0 + g2) / 2, g1 / 2
  m0, m1, m2, m3 = (
    _conv_frames(d, g, strides, padding)
    for d, g in (
      (d0 - d2, g0),
      (d1 + d2, outer + inner),
      (d2 - d1, outer - inner),
      (d1 - d3, g2),
    )
  )
  y = jnp.stack([m0 + m1 + m2, m1 - m2 - m3], axis=2)
  return y.reshape(y.shape[0], 2 * tiles, *y.shape[3:])[:, :count]


def conv_patches(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """Gathered patches times the kernel as a matrix.

  Needs `prod(kernel.shape[:3])` times the output positions' inputs besides.
  """
  counts = output_shape(x, kernel, strides, padding)
  x = _pad(x, padding)
  patches = []
  for taps in itertools.product(*map(range, kernel.shape[:3])):
    patch = x
    for axis, (tap, count, stride) in enumerate(
      zip(taps, counts, strides, strict=True), start=1
    ):
      patch = _tap(patch, tap, count, stride, axis)
    patches.append(patch)
  matrix = kernel.reshape(-1, kernel.shape[-1])
  return jnp.concatenate(patches, axis=-1) @ matrix


def fastest(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> Lowering:
  """Which of the four computes a convolution fastest."""
  frames, height, width = output_shape(x, kernel, strides, padding)
  steady = strides[0] == 1
  if steady and kernel.shape[1:3] == (1, 1):
    return conv_merged
  if height * width <= _MAX_PATCH_PIXELS:
    return conv_patches
  many = x.shape[-1] > _MAX_CONCAT_CHANNELS
  exact = x.dtype == jnp.float32  # its sums would lose bits of bfloat16
  if steady and len(kernel) == 3 and frames > 1 and many and exact:
    return conv_winograd
  return conv_concat


def conv(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """The convolution by the `fastest` of the four."""
  lowering = fastest(x, kernel, strides, padding)
  return lowering(x, kernel, strides, padding)


def conv_gradients(
  cotangent: jax.Array,
  x: jax.Array,
  kernel: jax.Array,
  strides: Triple,
  padding: Triple,
) -> tuple[jax.Array, jax.Array]:
  """The gradients of `conv` by `x` and by `kernel`.

  Args:
    cotangent: Of the convolution.
    x: Convolved.
    kernel: Convolved with.
    strides: Over T, H, W.
    padding: On both sides of T, H, W.
  """
  shape = {"strides": strides, "padding": padding}
  pointwise = kernel.shape[1:3] == (1, 1)
  if strides == (1, 1, 1) and not pointwise:
    # It is a convolution itself, with the kernel turned about.
    turned = jnp.flip(kernel, (0, 1, 2)).swapaxes(3, 4)
    rest = [k - 1 - p for k, p in zip(kernel.shape[:3], padding, strict=True)]
    by_x = conv(cotangent, turned, strides, tuple(rest))
  else:
    (by_x,) = jax.vjp(lambda x: conv(x, kernel, **shape), x)[1](cotangent)
  (by_kernel,) = jax.vjp(lambda k: conv(x, k, **shape), kernel)[1](cotangent)
  return by_x, by_kernel


def max_pool(
  x: jax.Array, window: Triple, strides: Triple, padding: Triple
) -> jax.Array:
  """Maxima of shifted slices, an axis at a time (as of XLA's own, but faster).

  XLA scatters the gradient, which takes a CPU 4 times as long.
  """
  for axis in (3, 2, 1):
    size, stride, pad = window[axis - 1], strides[axis - 1], padding[axis - 1]
    count = (x.shape[axis] + 2 * pad - size) // stride + 1
    if pad:
      widths = [(pad, pad) if i == axis else (0, 0) for i in range(x.ndim)]
      x = jnp.pad(x, widths, constant_values=-jnp.inf)
    taps = [_tap(x, start, count, stride, axis) for start in range(size)]
    x = functools.reduce(jnp.maximum, taps)
  return x
