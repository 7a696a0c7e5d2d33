"""C3D (Tran et al., ICCV 2015), returning the activations of every block.

Five blocks of one or two convolutions of 3×3×3, each followed by a norm and a
ReLU, with max pools between the blocks: 1×2×2 after the first, 2×2×2 after the
others. The pool and the fully connected layers that follow the fifth block in
the paper are not part of it. It is the network of video clip order prediction
(Xu et al., CVPR 2019), which the HDC paper uses, except that convolutions have
no bias, which the norm after each would cancel.

Choice: endpoints are taken before the pool that ends their block, which keeps
the most temporal positions: 8, 4 and 2 at blocks 3, 4 and 5 for 16 frames.

| c3d    | 16×112×112 in | 32×224×224 in  | parameters up to here |
|--------|---------------|----------------|-----------------------|
| block1 | 16×112×112×64 | 32×224×224×64  | 5,312                 |
| block2 | 16×56×56×128  | 32×112×112×128 | 226,752               |
| block3 | 8×28×28×256   | 16×56×56×256   | 2,881,984             |
| block4 | 4×14×14×512   | 8×28×28×512    | 13,500,864            |
| block5 | 2×7×7×512     | 4×14×14×512    | 27,658,688            |
"""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hdc_jax.models import base, conv, norm, remat

# For each block the channels of its convolutions by name, as multiples of the
# width.
BLOCKS = {
  "block1": {"1": 1},
  "block2": {"2": 2},
  "block3": {"3a": 4, "3b": 4},
  "block4": {"4a": 8, "4b": 8},
  "block5": {"5a": 8, "5b": 8},
}


class C3D(nn.Module):
  """C3D: clips → the activations of its five blocks.

  Attributes:
    width: Number of channels of the first convolution; the later ones have up
      to 8 times as many.
    norm: Name of the normalisation, see `norm.NORMS`.
    dtype: Dtype of the activations; parameters and statistics are float32.
    remat: Numbers of the blocks whose activations are computed again in the
      backward pass, see `remat.call`.

  Example:
    >>> clips = jnp.zeros((1, 8, 16, 16, 3))  # [B, T, H, W, 3]
    >>> endpoints, variables = jax.eval_shape(  # shapes alone
    ...   C3D(width=4).init_with_output, jax.random.key(0), clips
    ... )
    >>> endpoints["block1"].shape, endpoints["block5"].shape
    ((1, 8, 16, 16, 4), (1, 1, 1, 1, 32))
  """

  width: int = 64
  norm: str = "instance"
  dtype: jnp.dtype = jnp.float32
  remat: Sequence[int] = ()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool = False) -> dict[str, jax.Array]:
    """Encodes clips.

    Args:
      x: Clips [B, T, H, W, 3] in [-1, 1], at least 8 frames of 16×16 pixels.
      train: Whether batch norm uses the statistics of the batch; see
        `norm.batch_norm`.

    Returns:
      The endpoints 'block1' to 'block5', each [B, T', H', W', C] of `dtype`.

    Raises:
      ConfigError: If the clips have too few frames or pixels for a max pool.
    """
    make_conv = functools.partial(conv.Conv3D, dtype=self.dtype)
    make_norm = norm.make_norm(self.norm, self.dtype, train)

    def run(network: nn.Module, x: jax.Array, block: str) -> jax.Array:
      if block != "block1":
        window = (1 if block == "block2" else 2, 2, 2)
        x = conv.max_pool(x, window, window)
      for name, multiple in BLOCKS[block].items():
        features = network.width * multiple
        x = make_conv(features, (3, 3, 3), name=f"conv{name}")(x)
        x = nn.relu(make_norm(name=f"norm{name}")(x))
      return x

    endpoints = {}
    for block in BLOCKS:
      one = functools.partial(run, block=block)
      x = remat.call(one, self, block, x, blocks=self.remat)
      endpoints[block] = x
    return endpoints


class C3DOptions(base.BackboneOptions):
  """Options of C3D."""

  name = "c3d"
  # The max pools halve the frames three times, and height and width four times.
  fewest_frames = 8
  smallest_size = 16

  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes."""
    return C3D(**options)
