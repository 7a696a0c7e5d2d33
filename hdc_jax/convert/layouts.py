"""Names and shapes of weights in published repositories, and back.

Pure functions over names: variables of our backbones on one side, the arrays of
a PyTorch state dict on the other. Nothing here needs torch.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from flax import traverse_util

from hdc_jax.errors import DataError

# What a classifier's layers are called; an encoder has none.
CLASSIFIER = re.compile(r"(fc|linear)\d*\.")


@dataclasses.dataclass(frozen=True)
class Layout:
  """How a repository names and stores an encoder.

  Attributes:
    name: Of the layout.
    backbones: That it has names for, as in `config.model.name`. The first
      layout with a backbone is the one that is exported by default.
    modules: Patterns of our modules, and what they are called there.
    biases: Whether the convolutions there have biases.
    requires: Fields of `config.model` that the weights do not show.
    exports: Whether the code there can load what we write.
  """

  name: str
  backbones: Sequence[str]
  modules: Mapping[str, str]
  biases: bool = False
  requires: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  exports: bool = True


_STAGES = {rf"block{b}_(\d)": rf"layer{b - 1}.\1" for b in range(2, 6)}
_KENSHOHARA = _STAGES | {
  "stem_conv": "conv1",
  "stem_norm": "bn1",
  "conv0": "downsample.0",
  "norm0": "downsample.1",
  r"conv(\d)": r"conv\1",
  r"norm(\d)": r"bn\1",
}
_TORCHVISION = _STAGES | {
  "stem_conv": "stem.0",
  "stem_norm": "stem.1",
  "conv0": "downsample.0",
  "norm0": "downsample.1",
  r"conv(\d)": r"conv\1.0",
  r"norm(\d)": r"conv\1.1",
}
_TORCHVISION_FACTORED = _TORCHVISION | {
  "stem_conv": "stem",
  "spatial": "0",
  "norm": "1",
  "temporal": "3",
  "stem_norm": "stem.4",
}
_VCOP = {
  "stem_conv": "conv1",
  "stem_norm": "bn1",
  r"block(\d)_0": r"conv\1.block1",
  "spatial": "spatial_conv",
  "norm": "bn",
  "temporal": "temporal_conv",
  "conv0": "downsampleconv",
  "norm0": "downsamplebn",
  r"conv(\w+)": r"conv\1",
  r"norm(\w+)": r"bn\1",
}

LAYOUTS = (
  Layout("kenshohara", ("r3d18", "r3d34", "r3d50"), _KENSHOHARA),
  Layout("vcop", ("c3d",), _VCOP, biases=True),
  Layout("vcop", ("r2plus1d10",), _VCOP),
  Layout(
    "torchvision",
    ("r3d18", "r3d34"),
    _TORCHVISION,
    requires={"stem_pool": False},
  ),
  # Its shortcuts are not factored: only to say where a file differs.
  Layout("torchvision", ("r2plus1d10",), _TORCHVISION_FACTORED, exports=False),
)

_LEAVES = {
  "kernel": "weight",
  "scale": "weight",
  "bias": "bias",
  "mean": "running_mean",
  "var": "running_var",
}
# By number of axes: kernels are [T, H, W, I, O] here, [O, I, T, H, W] there.
_TO_TORCH = {1: (0,), 5: (4, 3, 0, 1, 2)}
_FROM_TORCH = {1: (0,), 5: (2, 3, 4, 1, 0)}
_SHOWN = 3  # layers named in an error, of each kind


def of(backbone: str) -> list[Layout]:
  """The layouts that have names for a backbone, the default first."""
  return [layout for layout in LAYOUTS if backbone in layout.backbones]


def export_names(template: Mapping[str, Any], layout: Layout) -> dict[str, str]:
  """What each leaf of a backbone's variables is called in a layout.

  Args:
    template: Variables: 'params' and, with batch norm, 'batch_stats'.
    layout: That has names for this backbone.

  Returns:
    As in 'params/stem_conv/kernel' → 'conv1.weight'.
  """
  names = {}
  for path in traverse_util.flatten_dict(template, sep="/"):
    _, *modules, leaf = path.split("/")
    renamed = [_rename(module, layout.modules) for module in modules]
    names[path] = ".".join([*renamed, _LEAVES[leaf]])
  return names


def to_torch(
  variables: Mapping[str, Any], layout: Layout
) -> dict[str, np.ndarray]:
  """The state dict of a backbone.

  Args:
    variables: Of the backbone: 'params' and, with batch norm, 'batch_stats'.
    layout: That has names for this backbone.

  Returns:
    float32 arrays by name.
  """
  flat = traverse_util.flatten_dict(variables, sep="/")
  arrays = {}
  for path, name in export_names(variables, layout).items():
    array = np.asarray(flat[path], np.float32)
    array = array.transpose(_TO_TORCH[array.ndim])
    arrays[name] = np.ascontiguousarray(array)
    if layout.biases and path.endswith("/kernel"):
      arrays[_bias(name)] = np.zeros(len(array), np.float32)
  return arrays


def detect(
  names: Collection[str], template: Mapping[str, Any], backbone: str
) -> Layout:
  """The backbone's layout that has most of the names."""

  def known(layout: Layout) -> int:
    return len(set(names) & set(export_names(template, layout).values()))

  return max(of(backbone), key=known)


def from_torch(
  arrays: Mapping[str, np.ndarray],
  template: Mapping[str, Any],
  layout: Layout,
  norm: str,
) -> dict[str, Any]:
  """A backbone's variables from a state dict.

  Biases of convolutions are folded into the norms that follow, which leaves the
  function the same: taken from the running mean of batch norm, and dropped
  before instance norm, which takes every channel's mean away.

  Args:
    arrays: By name, without a classifier.
    template: Shapes of the variables.
    layout: Of the names.
    norm: As in `config.model.norm`.

  Returns:
    Variables as in `template`, float32.

  Raises:
    DataError: If a weight is missing, unexpected or of another shape, naming
      the first of each; or if group norm follows a bias.
  """
  names = export_names(template, layout)
  shapes = traverse_util.flatten_dict(template, sep="/")
  biases = {
    path: _bias(name)
    for path, name in names.items()
    if path.endswith("/kernel") and _bias(name) in arrays
  }
  wanted = {name: _torch_shape(shapes[path]) for path, name in names.items()}
  found = {
    name: array.shape
    for name, array in arrays.items()
    if not name.endswith(".num_batches_tracked")
  }
  _check_fit(layout, wanted, found, set(biases.values()))

  flat = {}
  for path, name in names.items():
    array = np.asarray(arrays[name], np.float32)
    array = array.transpose(_FROM_TORCH[array.ndim])
    flat[path] = np.ascontiguousarray(array)
  for path, name in biases.items():
    if not arrays[name].any():
      continue
    if norm == "group":
      raise DataError(
        f"{name} is not zero, and group norm follows: it cannot be folded"
      )
    mean = f"batch_stats/{_norm_after(path)}/mean"
    if mean in flat:
      flat[mean] = flat[mean] - np.asarray(arrays[name], np.float32)
  return traverse_util.unflatten_dict(flat, sep="/")


def _rename(module: str, modules: Mapping[str, str]) -> str:
  """The name of the first pattern that is like the module's."""
  matches = ((re.fullmatch(p, module), name) for p, name in modules.items())
  return next(match.expand(name) for match, name in matches if match)


def _torch_shape(leaf: Any) -> tuple[int, ...]:
  return tuple(leaf.shape[axis] for axis in _TO_TORCH[leaf.ndim])


def _bias(weight: str) -> str:
  """The name of the bias that goes with a weight."""
  return weight.removesuffix("weight") + "bias"


def _norm_after(kernel: str) -> str:
  """The module that normalizes what the convolution with this kernel gives.

  As in 'params/block2_0/conv1/kernel' → 'block2_0/norm1'.
  """
  module = kernel.removeprefix("params/").removesuffix("/kernel")
  module = re.sub(r"conv(\w*)(/temporal)?$", r"norm\1", module)
  return re.sub(r"spatial$", "norm", module)


def _check_fit(
  layout: Layout,
  wanted: Mapping[str, tuple[int, ...]],
  found: Mapping[str, tuple[int, ...]],
  optional: Collection[str],
) -> None:
  """Raises DataError if names or shapes differ, with the first that do."""
  # Convolutions first, they tell most.
  wanted = dict(sorted(wanted.items(), key=lambda item: -len(item[1])))
  found = dict(sorted(found.items(), key=lambda item: -len(item[1])))
  differences = {
    "missing": [n for n in wanted if n not in found],
    "unexpected": [n for n in found if n not in wanted and n not in optional],
    "of another shape": [
      f"{n} ({'×'.join(map(str, wanted[n]))} here, "
      f"{'×'.join(map(str, found[n]))} in the file)"
      for n in wanted
      if n in found and wanted[n] != found[n]
    ],
  }
  described = [
    f"{len(layers)} {kind}: {', '.join(layers[:_SHOWN])}"
    + (", …" if len(layers) > _SHOWN else "")
    for kind, layers in differences.items()
    if layers
  ]
  if described:
    raise DataError(
      f"the weights do not fit config.model by {layout.name}'s names: "
      + "; ".join(described)
    )
