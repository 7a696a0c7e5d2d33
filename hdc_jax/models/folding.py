"""3D convolutions of few channels, folded so that they fill the lanes of a TPU.

A TPU computes with 128 lanes, which hold the channels of an array. The stem of
a network, with its 3 input and 64 output channels, fills few of them. So it is
folded: blocks of pixels as large as the stride become input channels, and so do
the frames that several frames of output have in common; these frames of output
become output channels. For a stem of 7×7×7 with stride (1, 2, 2), 10 frames of
2×2 pixels of 3 channels make 120 input channels, and 4 frames of 64 channels
make 256 output channels. What is left of the kernel are 4×4 taps of stride 1.

The result is the sum of the products of the plain convolution, and of products
with zeros.

Folded arrays are [G, H, W, B, channels] with G groups of frames, and folded
kernels [1, kH, kW, channels, channels]. The F frames of a group lie in the
lanes in the order of `frame_order`.
"""

import dataclasses
from typing import Self

import jax
import jax.numpy as jnp

from hdc_jax.models.cpu_lowering import Triple, output_shape

_FORWARD = ("DHWNC", "DHWIO", "DHWNC")

# The sum over groups, rows, columns and clips that is a kernel's gradient.
_KERNEL_GRADIENT = ("DHWCN", "DHWIO", "DHWNC")


def frame_order(frames: int) -> list[int]:
  """The order of the F frames of a group: even ones, then odd ones.

  A max pool over time then compares whole halves of the lanes.

  Args:
    frames: Number of frames F.
  """
  return [*range(0, frames, 2), *range(1, frames, 2)]


def fold_frames(x: jax.Array, frames: int) -> jax.Array:
  """Puts every `frames` frames into the lanes.

  Args:
    x: [B, T, H, W, C].
    frames: Number F of frames; zeros complete the last group.

  Returns:
    [⌈T/F⌉, H, W, B, F·C].
  """
  late = -x.shape[1] % frames
  x = jnp.pad(x, ((0, 0), (0, late), *((0, 0),) * 3))
  batch, total, *shape = x.shape
  x = x.reshape(batch, total // frames, frames, *shape)
  x = x[:, :, jnp.array(frame_order(frames))]
  x = x.transpose(1, 3, 4, 0, 2, 5)
  return x.reshape(*x.shape[:4], -1)


def unfold_frames(x: jax.Array, frames: int) -> jax.Array:
  """The inverse of `fold_frames`: [G, H, W, B, F·C] to [B, G·F, H, W, C].

  Args:
    x: Folded array.
    frames: Number F of frames in the lanes.
  """
  groups, height, width, batch, _ = x.shape
  x = x.reshape(groups, height, width, batch, frames, -1)
  order = frame_order(frames)
  places = [order.index(frame) for frame in range(frames)]
  x = x[..., jnp.array(places), :].transpose(3, 0, 4, 1, 2, 5)
  return x.reshape(batch, groups * frames, height, width, -1)


def tile_frames(x: jax.Array, frames: int) -> jax.Array:
  """Repeats [..., C] for F frames in the lanes: [..., F·C].

  Args:
    x: Values of each channel.
    frames: Number of frames F.
  """
  return jnp.concatenate([x] * frames, axis=-1)


def sum_frames(x: jax.Array, frames: int) -> jax.Array:
  """Sums [..., F·C] over the F frames in the lanes: [..., C].

  Args:
    x: Values of each frame and channel.
    frames: Number of frames F.
  """
  return sum(jnp.split(x, frames, axis=-1), start=jnp.zeros((), x.dtype))


@dataclasses.dataclass(frozen=True)
class Folding:
  """How a convolution is folded.

  Attributes:
    frames: Number F of output frames that share the lanes.
    taken: Number of input frames under the kernel for F output frames.
    counts: Number of output positions over T, H and W.
    strides: Strides over T, H and W.
    padding: Number of zeros at each end of T, H and W.
  """

  frames: int
  taken: int
  counts: Triple
  strides: Triple
  padding: Triple

  @classmethod
  def of(
    cls,
    x: jax.Array,
    kernel: jax.Array,
    strides: Triple,
    padding: Triple,
    frames: int,
  ) -> Self:
    """The folding of a convolution.

    Args:
      x: Input [B, T, H, W, C].
      kernel: Kernel [kT, kH, kW, C, O].
      strides: Strides over T, H and W.
      padding: Number of zeros at each end of T, H and W.
      frames: Number F of output frames that share the lanes.
    """
    taken = (frames - 1) * strides[0] + kernel.shape[0]
    counts = output_shape(x, kernel, strides, padding)
    return cls(frames, taken, counts, strides, padding)

  def _front(self, axis: int) -> int:
    """Zeros before a kernel, so that its padding is a number of blocks."""
    return -self.padding[axis] % self.strides[axis]

  def fold_kernel(self, kernel: jax.Array) -> jax.Array:
    """Folds a kernel.

    Args:
      kernel: [kT, kH, kW, C, O].

    Returns:
      [1, kH', kW', channels, F·O].
    """
    ends = [(0, 0)]
    for axis in (1, 2):
      front = self._front(axis)
      end = -(kernel.shape[axis] + front) % self.strides[axis]
      ends.append((front, end))
    kernel = jnp.pad(kernel, (*ends, (0, 0), (0, 0)))
    late = self.taken - kernel.shape[0]
    starts = [self.strides[0] * f for f in frame_order(self.frames)]
    shifted = [
      jnp.pad(kernel, ((start, late - start), *((0, 0),) * 4))
      for start in starts
    ]
    kernel = jnp.stack(shifted, axis=-2)
    taken, height, width, channels, frames, features = kernel.shape
    _, h, w = self.strides
    kernel = kernel.reshape(
      taken, height // h, h, width // w, w, channels, frames * features
    )
    kernel = kernel.transpose(1, 3, 0, 5, 2, 4, 6)
    return kernel.reshape(
      1, *kernel.shape[:2], taken * channels * h * w, frames * features
    )

  def fold_input(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Folds an input.

    Args:
      x: [B, T, H, W, C].
      kernel: The folded kernel.

    Returns:
      [G, H'', W'', B, channels], padded for the folded kernel.
    """
    batch, size, height, width, channels = x.shape
    t, h, w = self.strides
    x = jnp.pad(x, ((0, 0), (0, 0), (0, -height % h), (0, -width % w), (0, 0)))
    # XLA would take over another layout, from which the next transposition took
    # 5.7 instead of 0.9 million cycles for 24 clips on v5e.
    x = jax.lax.optimization_barrier(x.transpose(0, 1, 4, 2, 3))
    rows, columns = -(-height // h), -(-width // w)
    x = x.reshape(batch, size, channels, rows, h, columns, w)
    x = x.transpose(3, 5, 0, 1, 2, 4, 6)
    frame = channels * h * w
    x = x.reshape(rows, columns, batch, size * frame)
    ends = []
    for axis in (1, 2):
      before = (self.padding[axis] + self._front(axis)) // self.strides[axis]
      needed = self.counts[axis] + kernel.shape[axis] - 1
      ends.append((before, needed - before - x.shape[axis - 1], 0))
    step, before = self.frames * t, self.padding[0]
    groups = -(-self.counts[0] // self.frames)
    needed = (groups - 1) * step + self.taken
    late = needed - before - size
    ends += [(0, 0, 0), (before * frame, late * frame, 0)]
    # Unlike `jnp.pad`, it drops positions where there are too many.
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), ends)
    starts = range(0, groups * step, step)
    return jnp.stack(
      [x[..., s * frame : (s + self.taken) * frame] for s in starts]
    )


def conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Convolves a folded input with a folded kernel.

  Args:
    x: [G, H'', W'', B, channels].
    kernel: [1, kH', kW', channels, F·O] of the same dtype.

  Returns:
    [G, H', W', B, F·O].
  """
  return jax.lax.conv_general_dilated(
    x, kernel, (1, 1, 1), "VALID", dimension_numbers=_FORWARD
  )


def kernel_gradient(
  x: jax.Array, cotangent: jax.Array, step: int = 1
) -> jax.Array:
  """The gradient of `conv` with respect to the kernel, summed in float32.

  Args:
    x: Folded input [G, H'', W'', B, channels].
    cotangent: Gradient of the loss with respect to every `step`-th row and
      column of the output.
    step: Distance of these rows and columns.

  Returns:
    float32 [1, kH', kW', channels, F·O].
  """
  return jax.lax.conv_general_dilated(
    x,
    cotangent,
    (1, 1, 1),
    "VALID",
    rhs_dilation=(1, step, step),
    dimension_numbers=_KERNEL_GRADIENT,
    preferred_element_type=jnp.float32,
  )
