"""3D-ResNets, returning the activations of the stem and of every stage.

A stem (which is "block 1"), a max pool, and four stages of residual blocks
("block 2" to "block 5"). The global pool and the fully connected layer that
follow in the papers are not part of it.

`r3d18` and `r3d34` are 3D-ResNets of basic blocks (Hara et al., CVPR 2018): a
stem of 7×7×7 with stride (1, 2, 2) and 64 channels, a max pool 3×3×3 of stride
2, and stages of 64, 128, 256 and 512 channels, of which the last three start
with stride 2. The 18 layers of the HDC paper:

| r3d18  | 16×112×112 in | 32×224×224 in  | parameters up to here (A / B) |
|--------|---------------|----------------|-------------------------------|
| block1 | 16×56×56×64   | 32×112×112×64  | 65,984 / 65,984               |
| block2 | 8×28×28×64    | 16×56×56×64    | 508,864 / 508,864             |
| block3 | 4×14×14×128   | 8×28×28×128    | 2,058,176 / 2,066,624         |
| block4 | 2×7×7×256     | 4×14×14×256    | 8,253,376 / 8,295,104         |
| block5 | 1×4×4×512     | 2×7×7×512      | 33,030,080 / 33,203,904       |

`r3d34` has the same endpoints and 63,339,712 / 63,513,536 parameters.

`r3d101` and `r3d152` are 3D-ResNets of bottlenecks (Hara et al., in
3D-ResNets-PyTorch): the stem, the pool and the strides of `r3d18`, bottlenecks
of 1×1×1, 3×3×3 and 1×1×1 with stages of 256, 512, 1024 and 2048 channels, and
projections as shortcuts.

| r3d101 | 16×112×112 in | 32×224×224 in  | parameters up to here |
|--------|---------------|----------------|-----------------------|
| block1 | 16×56×56×64   | 32×112×112×64  | 65,984                |
| block2 | 8×28×28×256   | 16×56×56×256   | 502,976               |
| block3 | 4×14×14×512   | 8×28×28×512    | 2,902,208             |
| block4 | 2×7×7×1024    | 4×14×14×1024   | 56,124,608            |
| block5 | 1×4×4×2048    | 2×7×7×2048     | 85,245,120            |

`r3d152` has the same endpoints and 117,403,840 parameters. So has `r3d50` with
`design` "hara", and 46,198,976 parameters.

`r3d50` is the R3D-50 of CVRL (arXiv 2008.03800): a stem of 5×7×7 with stride
(2, 2, 2), a max pool 1×3×3 with stride (1, 2, 2), and bottlenecks whose
temporal kernels are 1 in the first two stages and 3 in the last two, without
any more temporal stride. Choice: convolutions and pools are padded by the same
number of positions at both ends, as in PyTorch. CVRL's reference code is in
TensorFlow, which pads even sizes at the end only.

| r3d50  | 16×112×112 in | 32×224×224 in  | parameters up to here (A / B) |
|--------|---------------|----------------|-------------------------------|
| block1 | 8×56×56×64    | 16×112×112×64  | 47,168 / 47,168               |
| block2 | 8×28×28×256   | 16×56×56×256   | 246,080 / 262,976             |
| block3 | 8×14×14×512   | 16×28×28×512   | 1,333,568 / 1,482,560         |
| block4 | 8×7×7×1024    | 16×14×14×1024  | 10,789,184 / 11,464,512       |
| block5 | 8×4×4×2048    | 16×7×7×2048    | 28,895,552 / 31,672,128       |

With `design` "cvrl", `r3d101` and `r3d152` are CVRL's deeper networks, which
have the same endpoints and 59,577,152 and 82,036,544 parameters.

`slowonly50` is SlowOnly R50 (Feichtenhofer et al., ICCV 2019), in PyTorchVideo
`slow_r50`: the network of CVRL with a stem of 1×7×7 with stride (1, 2, 2), so
that no layer has a stride over time.

| slowonly50 | 16×112×112 in | 32×224×224 in  | parameters up to here |
|------------|---------------|----------------|-----------------------|
| block1     | 16×56×56×64   | 32×112×112×64  | 9,536                 |
| block2     | 16×28×28×256  | 32×56×56×256   | 225,344               |
| block3     | 16×14×14×512  | 32×28×28×512   | 1,444,928             |
| block4     | 16×7×7×1024   | 32×14×14×1024  | 11,426,880            |
| block5     | 16×4×4×2048   | 32×7×7×2048    | 31,634,496            |
"""

import dataclasses
from typing import Any, ClassVar

import flax.linen as nn

from hdc_jax.models import base
from hdc_jax.models.residual import R3D, Bottleneck, FullBottleneck
from hdc_jax.options import option


@dataclasses.dataclass(frozen=True)
class R3DOptions(base.BackboneOptions):
  """Options of all 3D-ResNets, in addition to those of all backbones."""

  stem: tuple[int, ...] = option(
    (),
    "Kernel size of the stem over T, H, W; empty: the backbone's own.",
    lengths=(0, 3),
    at_least=1,
  )
  shortcut: str = option(
    "",
    "Shortcut where the shape changes: A (subsample and zero-pad), B (1×1×1 "
    "projection) or empty: the backbone's own.",
    choices=("", "A", "B"),
  )
  stem_pool: bool = option(True, "Whether a max pool follows the stem.")

  def own_options(self) -> dict[str, Any]:
    """The options that are set, and so differ from the backbone's own."""
    own = {"stem": self.stem, "shortcut": self.shortcut}
    pool = {} if self.stem_pool else {"stem_pool": False}
    return {name: value for name, value in own.items() if value} | pool


class R3D18(R3DOptions):
  """Options of R3D-18."""

  name = "r3d18"

  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes."""
    return R3D(stage_sizes=(2, 2, 2, 2), **options)


class R3D34(R3DOptions):
  """Options of R3D-34."""

  name = "r3d34"

  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes."""
    return R3D(stage_sizes=(3, 4, 6, 3), **options)


# The networks of bottlenecks by where they were published, whatever their
# depth. What Hara's does not state is as in the networks of basic blocks.
# Choice: `r3d50` is CVRL's, as it was before there was a choice, and the deeper
# ones are those of Hara et al., whose weights are published.
_HARA: dict[str, Any] = {"block": FullBottleneck, "shortcut": "B"}
_CVRL: dict[str, Any] = {
  "block": Bottleneck,
  "stem": (5, 7, 7),
  "stem_strides": (2, 2, 2),
  "pool_window": (1, 3, 3),
  "pool_strides": (1, 2, 2),
  "strides": (1, 2, 2),
  "temporal_kernels": (1, 1, 3, 3),
  "shortcut": "B",
}
_SLOW: dict[str, Any] = _CVRL | {"stem": (1, 7, 7), "stem_strides": (1, 2, 2)}
_DESIGNS = {"hara": _HARA, "cvrl": _CVRL}


@dataclasses.dataclass(frozen=True)
class BottleneckOptions(R3DOptions):
  """Options of the 3D-ResNets of bottlenecks.

  Attributes:
    own_design: Design of the backbone where the option `design` is empty.
    depths: Number of residual blocks in each of the four stages.
  """

  own_design: ClassVar[str]
  depths: ClassVar[tuple[int, ...]]

  design: str = option(
    "",
    "Design of a network of bottlenecks: hara (3D-ResNets-PyTorch), cvrl or "
    "empty: the backbone's own, which is cvrl for r3d50, hara for the others.",
    choices=("", *_DESIGNS),
  )

  def own_options(self) -> dict[str, Any]:
    """The options that are set, and so differ from the backbone's own."""
    design = {"design": self.design} if self.design else {}
    return super().own_options() | design

  def module(self, design: str = "", **options: Any) -> nn.Module:
    """The module with these attributes; the design's where not given."""
    own = _DESIGNS[design or self.own_design]
    return R3D(stage_sizes=self.depths, **(own | options))


class R3D50(BottleneckOptions):
  """Options of R3D-50, by default CVRL's."""

  name = "r3d50"
  own_design = "cvrl"
  depths = (3, 4, 6, 3)


class R3D101(BottleneckOptions):
  """Options of R3D-101, by default that of Hara et al."""

  name = "r3d101"
  own_design = "hara"
  depths = (3, 4, 23, 3)


class R3D152(BottleneckOptions):
  """Options of R3D-152, by default that of Hara et al."""

  name = "r3d152"
  own_design = "hara"
  depths = (3, 8, 36, 3)


class SlowOnly50(base.BackboneOptions):
  """Options of SlowOnly R50."""

  name = "slowonly50"

  def module(self, **options: Any) -> nn.Module:
    """The module with these attributes."""
    return R3D(stage_sizes=(3, 4, 6, 3), **_SLOW, **options)
