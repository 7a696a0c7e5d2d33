"""Max pools of folded features that keep the place of every maximum.

XLA pools, and scatters the gradients of the maxima over the features again,
each at the full resolution. Here each maximum carries its place in the window,
so that the backward pass goes through the features once.

A feature is bfloat16, which is the upper half of a float32; the lower half
holds the place. Of equal features the first one gets the gradient, as in XLA.

The features are folded, see `folding`: [G, H, W, B, 4·C], with four frames in
the lanes, the even ones first. The window is 3×3×3 and its stride 2, with
padding by one at each end.
"""

import jax
import jax.numpy as jnp

from hdc_jax.models.folding import tile_frames

# Size and stride of the window over T, H and W.
WINDOW, STRIDES = (3, 3, 3), (2, 2, 2)

# Frames in the lanes before and after the pool.
FRAMES = 4
POOLED = FRAMES // 2

# Number of rows, and of columns, that a place can tell apart.
MOST = 128

# Bits of the row and of the column of a maximum. Above these are two bits for
# its frame.
_BITS = MOST.bit_length() - 1
_LAST = (1 << _BITS) - 1
_FRAME_BIT = 2 * _BITS
_PLACE = 0xFFFF

_LARGEST = 0x7FFFFFFF

# The place in a window of 3×3 that no activation has.
_NOWHERE = 15

# The frames of a window, by the number that stands for each. The first one has
# the largest, so that it is the maximum of equal activations.
_FIRST, _CENTRE, _LATE = 2, 1, 0


def _bits(x: jax.Array) -> jax.Array:
  return jax.lax.bitcast_convert_type(x, jnp.int32)


def _float(x: jax.Array) -> jax.Array:
  return jax.lax.bitcast_convert_type(x, jnp.float32)


def _rounded(x: jax.Array) -> jax.Array:
  """The bits of float32 values rounded to bfloat16; the lower half is 0.

  XLA may leave out a conversion to bfloat16 and back, but not this.
  """
  return _bits(jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7))


def _sortable(bits: jax.Array) -> jax.Array:
  """Bits of float32 as integers of the same order; it is its own inverse."""
  return bits ^ ((bits >> 31) & _LARGEST)


def _swap(x: jax.Array) -> jax.Array:
  """Exchanges the two frames in the lanes of [..., 2·C]."""
  one, other = jnp.split(x, 2, axis=-1)
  return jnp.concatenate([other, one], axis=-1)


def _shift(x: jax.Array, by: int, fill: int) -> jax.Array:
  """Moves groups to later ones (by 1) or to earlier ones (by -1)."""
  ends = [(by, -by, 0)] + [(0, 0, 0)] * (x.ndim - 1)
  return jax.lax.pad(x, jnp.asarray(fill, x.dtype), ends)


def _is_second(x: jax.Array) -> jax.Array:
  """Whether a lane of [..., 2·C] is of the second frame."""
  lanes = jax.lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)
  return lanes >= x.shape[-1] // 2


def maxima(y: jax.Array, sign: jax.Array) -> jax.Array:
  """Maxima over 3×3×3 of stride 2, with their places.

  Args:
    y: Activations [G, H, W, B, 4·C].
    sign: 1 or -1 for each channel [C], by which they are multiplied.

  Returns:
    int32 [G, H/2, W/2, B, 2·C]: the upper half of the bits is that of the
    maximum, see `_sortable`; the lower half is its place.
  """
  keys = _sortable(_rounded(y.astype(jnp.float32) * tile_frames(sign, FRAMES)))
  row, column = (
    _LAST - jax.lax.broadcasted_iota(jnp.int32, y.shape, axis)
    for axis in (1, 2)
  )
  place = (row << _BITS) | column  # the first position has the largest number
  keys = jax.lax.reduce_window(
    (keys & ~_PLACE) | place,
    -_LARGEST - 1,
    jax.lax.max,
    (1, 3, 3, 1, 1),
    (1, 2, 2, 1, 1),
    ((0, 0), (1, 1), (1, 1), (0, 0), (0, 0)),
  )
  even, odd = jnp.split(keys, 2, axis=-1)
  # The frame before an even one is the odd one before it.
  before = _swap(odd | (_FIRST << _FRAME_BIT))
  earlier = _shift(before, 1, -_LARGEST - 1)
  before = jnp.where(_is_second(odd), before, earlier)
  return jnp.maximum(jnp.maximum(before, even | (_CENTRE << _FRAME_BIT)), odd)


def values(keys: jax.Array, sign: jax.Array) -> jax.Array:
  """The features that are the maxima, float32 [G, H/2, W/2, B, 2·C].

  Args:
    keys: Maxima with their places, see `maxima`.
    sign: What the features were multiplied by [C].
  """
  return _float(_sortable(keys) & ~_PLACE) * tile_frames(sign, POOLED)


def send_back(keys: jax.Array, g: jax.Array) -> jax.Array:
  """Sends the gradients of the maxima to the frames that these are from.

  Of two windows that overlap in a frame, both send to the same pixel of it if
  they send to it at all, as each finds the maximum of the same 3×3 pixels.

  Args:
    keys: Maxima with their places, see `maxima`.
    g: Gradients of the maxima, float32 of the same shape.

  Returns:
    int32 [G, H/2 + 1, W/2 + 1, B, 4·C]: in the upper half of the bits the
    gradient, rounded to bfloat16, in the lower half the place in the window.
  """
  row, column = (
    _LAST
    - ((keys >> shift) & _LAST)
    - (2 * jax.lax.broadcasted_iota(jnp.int32, keys.shape, axis) - 1)
    for shift, axis in ((_BITS, 1), (0, 2))
  )
  number = (keys >> _FRAME_BIT) & 3
  sent = _rounded(g) | (row * 3 + column)

  def to(frame: int) -> jax.Array:
    return jnp.where(number == frame, sent, _NOWHERE)

  before = _swap(to(_FIRST))
  before = jnp.where(_is_second(keys), _shift(before, -1, _NOWHERE), before)
  late = to(_LATE)
  total = _float(before & ~_PLACE) + _float(late & ~_PLACE)
  odd = _rounded(total) | jnp.minimum(before & _PLACE, late & _PLACE)
  sent = jnp.concatenate([to(_CENTRE), odd], axis=-1)
  ends = ((0, 0), (0, 1), (0, 1), (0, 0), (0, 0))
  return jnp.pad(sent, ends, constant_values=_NOWHERE)


def received(sent: jax.Array, at: tuple[int, int]) -> jax.Array:
  """The gradients that every second row and column of the features receive.

  Args:
    sent: What the windows send back, see `send_back`.
    at: The first row and column, each 0 or 1.

  Returns:
    float32 [G, H/2, W/2, B, 4·C].
  """
  height, width = (size - 1 for size in sent.shape[1:3])
  total = jnp.zeros((), jnp.float32)
  for down in range(1 + at[0]):
    for right in range(1 + at[1]):
      window = sent[:, down : down + height, right : right + width]
      row, column = (
        2 - 2 * later if odd else 1
        for later, odd in zip((down, right), at, strict=True)
      )
      here = window & _PLACE == row * 3 + column
      total += jnp.where(here, _float(window & ~_PLACE), 0.0)
  return total
