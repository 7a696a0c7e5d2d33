"""3D convolution and max pooling in forms that are fast on CPU.

On CPU, XLA's own 3D convolutions and max pools are slow, and the gradients of
strided convolutions very slow; its 2D convolutions and matrix products are
fast. So a 3D convolution becomes one of the four functions below, which differ
in speed, memory and rounding only, and a max pool becomes the maximum of
slices. `benchmarks/README.md` has the measurements.

Speed costs memory. In addition to its inputs and its output, a convolution of
kT temporal taps, or its gradients, need at most 2·(kT + 1) times the larger of
input and output, and 4 times the kernel. XLA's own need about once the kernel
forward, and about 3 times the larger of input and output backward.

All convolutions here take the input [B, T, H, W, C], the kernel
[kT, kH, kW, C, O], the strides over T, H and W, and the number of zeros at each
end of T, H and W, and return [B, T', H', W', O], as `conv.conv3d` does.
"""

import functools
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp

# Values for T, H and W.
Triple = tuple[int, int, int]

# A function of input, kernel, strides and padding that convolves.
Lowering = Callable[[jax.Array, jax.Array, Triple, Triple], jax.Array]

# Up to this many output pixels per frame, patches beat 2D convolutions (2×2
# pixels of 512 channels: 111 against 2 GFLOP/s).
_MAX_PATCH_PIXELS = 8

# Up to this many input channels, one 2D convolution of all temporal taps beats
# several of few channels (the 7×7×7 stem: 139 against 81 GFLOP/s).
_MAX_CONCAT_CHANNELS = 8


def _pad(x: jax.Array, padding: Triple) -> jax.Array:
  """Adds zeros at both ends of T, H and W."""
  return jnp.pad(x, ((0, 0), *((p, p) for p in padding), (0, 0)))


def output_shape(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> Triple:
  """The number of output positions of a convolution over T, H and W.

  Args:
    x: Input [B, T, H, W, C], without padding.
    kernel: Kernel [kT, kH, kW, C, O].
    strides: Strides over T, H and W.
    padding: Number of zeros at each end of T, H and W.

  Returns:
    T', H' and W'.
  """
  sizes = zip(x.shape[1:4], kernel.shape[:3], strides, padding, strict=True)
  t, h, w = ((size + 2 * p - k) // s + 1 for size, k, s, p in sizes)
  return t, h, w


def _tap(
  x: jax.Array, start: int, count: int, stride: int, axis: int
) -> jax.Array:
  """The `count` positions of an axis that one tap of a kernel meets."""
  return jax.lax.slice_in_dim(
    x, start, start + (count - 1) * stride + 1, stride, axis
  )


def _conv_frames(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """Convolves every frame of [B, T, H, W, C] by a 2D kernel [kH, kW, C, O]."""
  frames = x.reshape(-1, *x.shape[2:])
  if kernel.shape[:2] == (1, 1):  # a product, of which the gradients are too
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


def _active_taps(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> list[int]:
  """The temporal taps of a kernel that meet any frame, not only padding.

  At the end of a deep network, where clips have a single frame, that is one tap
  of a kernel of three.
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
  """A 2D convolution of frames whose channels are those of all temporal taps.

  Additional memory: kT copies of the input, each at the T' output positions.
  """
  count, _, _ = output_shape(x, kernel, strides, padding)
  taps = _active_taps(x, kernel, strides, padding)
  merged = jnp.concatenate([kernel[tap] for tap in taps], axis=2)
  x = _pad(x, (padding[0], 0, 0))
  inputs = [_tap(x, tap, count, strides[0], 1) for tap in taps]
  return _conv_frames(jnp.concatenate(inputs, -1), merged, strides, padding)


def conv_merged(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """The sum over temporal taps of shifted outputs of one 2D convolution.

  The 2D convolution has the output channels of all temporal taps. Additional
  memory: kT times the output that a stride of 1 over T would have.
  """
  count, _, _ = output_shape(x, kernel, strides, padding)
  taps = _active_taps(x, kernel, strides, padding)
  merged = jnp.concatenate([kernel[tap] for tap in taps], axis=3)
  y = _conv_frames(x, merged, strides, padding)
  outputs = jnp.split(y, len(taps), axis=-1)
  # Each output is padded by itself, which the compiler fuses with the sum;
  # padding all of y would copy it.
  outputs = (_pad(output, (padding[0], 0, 0)) for output in outputs)
  shifted = (
    _tap(output, tap, count, strides[0], 1)
    for tap, output in zip(taps, outputs, strict=True)
  )
  return functools.reduce(jnp.add, shifted)


def conv_winograd(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """Every two frames of output from four 2D convolutions.

  Winograd's minimal filtering F(2, 3) over T (Lavin and Gray, CVPR 2016), which
  needs 4 multiplications where the sum over taps needs 6. The kernel must have
  three temporal taps and stride 1 over T. Additional memory: four times the
  input and four times the output, each with half of its frames.
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
  """The product of the patches under the kernel with the kernel as a matrix.

  Additional memory: kT · kH · kW values of C channels for each output position.
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
  """Chooses the fastest of the four functions for a convolution.

  Args:
    x: Input [B, T, H, W, C].
    kernel: Kernel [kT, kH, kW, C, O].
    strides: Strides over T, H and W.
    padding: Number of zeros at each end of T, H and W.

  Returns:
    `conv_concat`, `conv_merged`, `conv_winograd` or `conv_patches`.
  """
  frames, height, width = output_shape(x, kernel, strides, padding)
  unit_stride = strides[0] == 1
  if unit_stride and kernel.shape[1:3] == (1, 1):
    return conv_merged
  if height * width <= _MAX_PATCH_PIXELS:
    return conv_patches
  many_channels = x.shape[-1] > _MAX_CONCAT_CHANNELS
  # In bfloat16, the sums of Winograd's filtering would lose digits.
  winograd = len(kernel) == 3 and frames > 1 and x.dtype == jnp.float32
  if unit_stride and many_channels and winograd:
    return conv_winograd
  return conv_concat


def conv(
  x: jax.Array, kernel: jax.Array, strides: Triple, padding: Triple
) -> jax.Array:
  """The convolution by the `fastest` of the four functions."""
  lowering = fastest(x, kernel, strides, padding)
  return lowering(x, kernel, strides, padding)


def conv_gradients(
  cotangent: jax.Array,
  x: jax.Array,
  kernel: jax.Array,
  strides: Triple,
  padding: Triple,
) -> tuple[jax.Array, jax.Array]:
  """The gradients of `conv` with respect to its input and its kernel.

  Args:
    cotangent: Gradient of the loss with respect to the output,
      [B, T', H', W', O].
    x: Input [B, T, H, W, C].
    kernel: Kernel [kT, kH, kW, C, O].
    strides: Strides over T, H and W.
    padding: Number of zeros at each end of T, H and W.

  Returns:
    The gradients with respect to `x` and `kernel`, of their shapes.
  """
  shape = {"strides": strides, "padding": padding}
  pointwise = kernel.shape[1:3] == (1, 1)
  if strides == (1, 1, 1) and not pointwise:
    # The gradient is itself a convolution, by the kernel reversed in T, H and W
    # and with input and output channels swapped.
    reverse = jnp.flip(kernel, (0, 1, 2)).swapaxes(3, 4)
    sizes = zip(kernel.shape[:3], padding, strict=True)
    t, h, w = (size - 1 - pad for size, pad in sizes)
    by_x = conv(cotangent, reverse, strides, (t, h, w))
  else:
    (by_x,) = jax.vjp(lambda x: conv(x, kernel, **shape), x)[1](cotangent)
  (by_kernel,) = jax.vjp(lambda k: conv(x, k, **shape), kernel)[1](cotangent)
  return by_x, by_kernel


def max_pool(
  x: jax.Array, window: Triple, strides: Triple, padding: Triple
) -> jax.Array:
  """The max pool as maxima of shifted slices, one axis after the other.

  The result is that of XLA's own max pool. The gradient of XLA's is a scatter,
  which takes 4 times as long on CPU.

  Args:
    x: Input [B, T, H, W, C].
    window: Size of the window over T, H and W.
    strides: Strides over T, H and W.
    padding: Number of positions added at each end of T, H and W, which never
      are the maximum.

  Returns:
    [B, T', H', W', C] of the same dtype.
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
