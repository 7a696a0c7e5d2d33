"""I3D (Carreira and Zisserman, CVPR 2017), with the activations of every block.

Inception-v1 whose kernels are inflated over time. `inception.py` says where the
blocks end. It is the backbone of DSM. Convolutions and pools are padded as by
TensorFlow's SAME, as in the paper's code and in pytorch-i3d: an odd number of
zeros has the odd one at the end, and any size of clips fits.

| i3d    | 16×112×112 in | 32×224×224 in | parameters up to here |
|--------|---------------|---------------|-----------------------|
| block1 | 8×56×56×64    | 16×112×112×64 | 65,984                |
| block2 | 8×28×28×192   | 16×56×56×192  | 402,368               |
| block3 | 8×14×14×480   | 16×28×28×480  | 1,626,528             |
| block4 | 4×7×7×832     | 8×14×14×832   | 7,528,256             |
| block5 | 2×4×4×1024    | 4×7×7×1024    | 12,287,264            |
"""

from typing import Any

import flax.linen as nn

from hdc_jax.models import conv, inception


class I3D(inception.InceptionOptions):
  """Options of I3D."""

  name = "i3d"

  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes."""
    return inception.Inception(
      separable=False, pad=conv.pad_as_tensorflow, **options
    )
