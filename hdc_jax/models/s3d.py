"""S3D (Xie et al., ECCV 2018), returning the activations of every block.

Inception-v1 over space and time whose convolutions of k×k×k, the stem's too,
are each one of 1×k×k and one of k×1×1, both with a norm and a ReLU.
`inception.py` says where the blocks end. Convolutions and pools are padded by
the same number of positions at both ends, except that the last max pool, of
2×2×2, has no padding. It is torchvision's `s3d`, and with epsilon 1e-5 the S3D
of CoCLR (Han et al., NeurIPS 2020); S3D-G, with gates, is not part of it.

| s3d    | 16×112×112 in | 32×224×224 in | parameters up to here |
|--------|---------------|---------------|-----------------------|
| block1 | 8×56×56×64    | 16×112×112×64 | 38,336                |
| block2 | 8×28×28×192   | 16×56×56×192  | 264,512               |
| block3 | 8×14×14×480   | 16×28×28×480  | 951,968               |
| block4 | 4×7×7×832     | 8×14×14×832   | 4,734,272             |
| block5 | 2×3×3×1024    | 4×7×7×1024    | 7,910,048             |
"""

from typing import Any

import flax.linen as nn

from hdc_jax.models import conv, inception


class S3D(inception.InceptionOptions):
  """Options of S3D."""

  name = "s3d"
  # The last max pool receives ⌈T/4⌉ frames of ⌈H/16⌉ pixels, and takes two.
  fewest_frames = 5
  smallest_size = 17

  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes."""
    return inception.Inception(separable=True, pad=conv.pad_evenly, **options)
