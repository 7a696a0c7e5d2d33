"""Names of the modules of residual networks in published repositories.

Each is a dict as `layouts.Layout.modules` takes it: from patterns of our module
names to names there.
"""

import re

_STAGES = {rf"block{b}_(\d+)": rf"layer{b - 1}.\1" for b in range(2, 6)}

# 3D-ResNets of kenshohara/3D-ResNets-PyTorch.
KENSHOHARA = _STAGES | {
  "stem_conv": "conv1",
  "stem_norm": "bn1",
  "conv0": "downsample.0",
  "norm0": "downsample.1",
  r"conv(\d)": r"conv\1",
  r"norm(\d)": r"bn\1",
}

# r3d_18 of torchvision.
TORCHVISION = _STAGES | {
  "stem_conv": "stem.0",
  "stem_norm": "stem.1",
  "conv0": "downsample.0",
  "norm0": "downsample.1",
  r"conv(\d)": r"conv\1.0",
  r"norm(\d)": r"conv\1.1",
}

# r2plus1d_18 of torchvision.
TORCHVISION_FACTORED = TORCHVISION | {
  "stem_conv": "stem",
  "spatial": "0",
  "norm": "1",
  "temporal": "3",
  "stem_norm": "stem.4",
}

# The same in nn.Sequential, as RSPNet and Pretext-Contrast have it: the stem is
# module 0, and layer1 is module 1.
SEQUENTIAL = {
  module: re.sub("stem", "0", name).removeprefix("layer")
  for module, name in TORCHVISION_FACTORED.items()
}

# The same network, of CTP and Tubelet-Contrast. The norms of CTP's own code
# have an epsilon of 1e-3; SEVERE has these weights in torchvision's network,
# with 1e-5, and so do we.
CTP = _STAGES | {
  "stem_conv": "stem",
  "stem_norm": "stem.bn_t",
  "spatial": "conv_s",
  "norm": "bn_s",
  "temporal": "conv_t",
  "conv0": "downsample.conv",
  "norm0": "downsample_bn",
  r"conv(\d)": r"conv\1",
  r"norm(\d)": r"bn\1",
}

# slow_r50 of PyTorchVideo.
PYTORCHVIDEO = {
  rf"block{b}_(\d+)": rf"blocks.{b - 1}.res_blocks.\1" for b in range(2, 6)
} | {
  "stem_conv": "blocks.0.conv",
  "stem_norm": "blocks.0.norm",
  "conv0": "branch1_conv",
  "norm0": "branch1_norm",
  "conv1": "branch2.conv_a",
  "norm1": "branch2.norm_a",
  "conv2": "branch2.conv_b",
  "norm2": "branch2.norm_b",
  "conv3": "branch2.conv_c",
  "norm3": "branch2.norm_c",
}

# The same network of PySlowFast, there SLOW_8x8_R50.
PYSLOWFAST = {
  r"block(\d)_(\d+)": r"s\1.pathway0_res\2",
  "stem_conv": "s1.pathway0_stem.conv",
  "stem_norm": "s1.pathway0_stem.bn",
  "conv0": "branch1",
  "norm0": "branch1_bn",
  "conv1": "branch2.a",
  "norm1": "branch2.a_bn",
  "conv2": "branch2.b",
  "norm2": "branch2.b_bn",
  "conv3": "branch2.c",
  "norm3": "branch2.c_bn",
}
