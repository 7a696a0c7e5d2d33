"""Names of the layers of S3D and I3D in published repositories.

Each dict maps patterns of our module names to names there, as in
`layouts.Layout`.
"""

# The first layers have the size of their kernel in the names of TensorFlow.
_SIZES = {"conv1a": "1a_7x7", "conv2b": "2b_1x1", "conv2c": "2c_3x3"}
_BRANCHES = {
  r"branch([12])a": r"branch\1.0",
  r"branch([12])b": r"branch\1.1",
  "branch3b": "branch3.1",
}
_MODULES = {"3": "bc", "4": "bcdef", "5": "bc"}

# The numbers that are left out are those of max pools.
TORCHVISION = {
  **{"conv1a": "features.0", "conv2b": "features.2", "conv2c": "features.3"},
  **{f"block3{x}": f"features.{i}" for i, x in enumerate("bc", start=5)},
  **{f"block4{x}": f"features.{i}" for i, x in enumerate("bcdef", start=8)},
  **{f"block5{x}": f"features.{i}" for i, x in enumerate("bc", start=14)},
  **{"branch0": "branch0", **_BRANCHES},
  **{"conv": "0", "norm": "1"},
  **{"conv_space": "0.0", "norm_space": "0.1"},
  **{"conv_time": "1.0", "norm_time": "1.1"},
}

COCLR = {
  r"conv(1a|2b|2c)": r"Conv_\1",
  r"block(\w\w)": r"Mixed_\1",
  **{"branch0": "branch0.0", **_BRANCHES},
  **{"conv": "conv", "norm": "bn"},
  **{"conv_space": "conv1", "norm_space": "bn1"},
  **{"conv_time": "conv2", "norm_time": "bn2"},
}
# Each layer is an attribute of the network, and is in a list too, after the max
# pool of its block.
COCLR_ALIASES = {
  **{"Conv_1a": "block1.0", "Conv_2b": "block2.1", "Conv_2c": "block2.2"},
  **{
    f"Mixed_{block}{module}": f"block{block}.{i}"
    for block, modules in _MODULES.items()
    for i, module in enumerate(modules, start=1)
  },
}

PIERGIAJ = {
  **{ours: f"Conv3d_{theirs}" for ours, theirs in _SIZES.items()},
  r"block(\w\w)": r"Mixed_\1",
  r"branch(\w+)": r"b\1",
  **{"conv": "conv3d", "norm": "bn"},
}

HASSONY2 = {
  **{ours: f"conv3d_{theirs}" for ours, theirs in _SIZES.items()},
  r"block(\w\w)": r"mixed_\1",
  "branch0": "branch_0",
  r"branch([12])a": r"branch_\1.0",
  r"branch([12])b": r"branch_\1.1",
  "branch3b": "branch_3.1",
  **{"conv": "conv3d", "norm": "batch3d"},
}
