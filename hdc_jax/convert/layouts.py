"""Layouts: the names and shapes of weights in published repositories.

Functions convert between the variables of our backbones and the arrays of a
PyTorch state dict. They do not need torch.
"""

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from flax import traverse_util

from hdc_jax.convert import inception_names, residual_names
from hdc_jax.errors import DataError

# Names of the layers of a classifier, which an encoder does not have.
CLASSIFIER = re.compile(
  r"((fc|linear|classifier|logits|conv3d_0c_1x1)\d*"
  r"|head\.projection|blocks\.5\.proj)\."
)


@dataclasses.dataclass(frozen=True)
class Layout:
  """How a repository names and stores the weights of an encoder.

  Attributes:
    name: Name of the layout.
    backbones: Names of the backbones that it can store, as in
      `config.model.name`. The first layout of a backbone is the default for
      exports.
    modules: Pattern of our module names → name in the repository.
    biases: Whether the convolutions of the repository have biases.
    requires: Values of fields of `config.model` that cannot be read off the
      weights.
    exports: Whether the code of the repository can load exported weights.
    aliases: Name of an outermost module in the repository → a second name, by
      which its state dicts have the same arrays once more.
  """

  name: str
  backbones: Sequence[str]
  modules: Mapping[str, str]
  biases: bool = False
  requires: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  exports: bool = True
  aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)


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
# Of norms for which the code of a repository states no other.
_TORCH_EPSILON = {"epsilon": 1e-5}

LAYOUTS = (
  Layout(
    "kenshohara",
    ("r3d18", "r3d34", "r3d50", "r3d101", "r3d152"),
    residual_names.KENSHOHARA,
  ),
  Layout("vcop", ("c3d",), _VCOP, biases=True),
  Layout("vcop", ("r2plus1d10",), _VCOP),
  Layout("torchvision", ("s3d",), inception_names.TORCHVISION),
  Layout(
    "coclr",
    ("s3d",),
    inception_names.COCLR,
    requires=_TORCH_EPSILON,
    aliases=inception_names.COCLR_ALIASES,
  ),
  Layout("piergiaj", ("i3d",), inception_names.PIERGIAJ),
  # The code of DSM has these names, too. It pads odd sizes otherwise, which
  # clips of 224 pixels and 16 frames do not have before any layer.
  Layout(
    "hassony2",
    ("i3d",),
    inception_names.HASSONY2,
    requires=_TORCH_EPSILON,
  ),
  Layout(
    "torchvision",
    ("r3d18", "r3d34"),
    residual_names.TORCHVISION,
    requires={"stem_pool": False},
  ),
  Layout("torchvision", ("r2plus1d18",), residual_names.TORCHVISION_FACTORED),
  Layout("rspnet", ("r2plus1d18",), residual_names.SEQUENTIAL),
  Layout("ctp", ("r2plus1d18",), residual_names.CTP),
  Layout("pytorchvideo", ("slowonly50",), residual_names.PYTORCHVIDEO),
  Layout("pyslowfast", ("slowonly50",), residual_names.PYSLOWFAST),
  # The shortcuts of torchvision are not factored, so this layout serves only to
  # name the weights of a file that do not fit.
  Layout(
    "torchvision",
    ("r2plus1d10",),
    residual_names.TORCHVISION_FACTORED,
    exports=False,
  ),
)

# Our parameters and running means → names in a state dict.
_LEAVES = {
  "kernel": "weight",
  "scale": "weight",
  "bias": "bias",
  "mean": "running_mean",
  "var": "running_var",
}
# Number of axes → their order. Kernels are [T, H, W, I, O] in Flax and
# [O, I, T, H, W] in PyTorch.
_TO_TORCH = {1: (0,), 5: (4, 3, 0, 1, 2)}
_FROM_TORCH = {1: (0,), 5: (2, 3, 4, 1, 0)}
# Number of layers of each kind that an error names.
_SHOWN = 3


def of(backbone: str) -> list[Layout]:
  """The layouts of a backbone, the default first.

  Args:
    backbone: Name of the backbone.
  """
  return [layout for layout in LAYOUTS if backbone in layout.backbones]


def export_names(template: Mapping[str, Any], layout: Layout) -> dict[str, str]:
  """The name of each of a backbone's variables in a layout.

  Args:
    template: Variables: 'params' and, with batch norm, 'batch_stats'.
    layout: A layout of the backbone.

  Returns:
    Path of the variable → name: 'params/stem_conv/kernel' → 'conv1.weight'.
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
  """Converts a backbone's variables to a state dict.

  Args:
    variables: Variables of the backbone: 'params' and, with batch norm,
      'batch_stats'.
    layout: A layout of the backbone.

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
  for alias, name in _aliases(layout, arrays).items():
    arrays[alias] = arrays[name]
  return arrays


def known_names(template: Mapping[str, Any], backbone: str) -> set[str]:
  """The names that a backbone's weights have in any layout.

  Args:
    template: Variables of the backbone, or their shapes.
    backbone: Name of the backbone.
  """
  return {
    name
    for layout in of(backbone)
    for name in export_names(template, layout).values()
  }


def detect(
  names: Collection[str], template: Mapping[str, Any], backbone: str
) -> Layout:
  """Finds the layout that matches the names of a state dict best.

  Args:
    names: Names of the arrays.
    template: Variables of the backbone, or their shapes.
    backbone: Name of the backbone.
  """

  def known(layout: Layout) -> int:
    return len(set(names) & set(export_names(template, layout).values()))

  return max(of(backbone), key=known)


def from_torch(
  arrays: Mapping[str, np.ndarray],
  template: Mapping[str, Any],
  layout: Layout,
  norm: str,
) -> dict[str, Any]:
  """Converts a state dict to a backbone's variables.

  Biases of convolutions are folded into the norms that follow, so that the
  network computes the same function: they are subtracted from the running means
  of batch norm, and dropped before instance norm, which subtracts the mean of
  every channel.

  Args:
    arrays: Arrays of the state dict by name, without a classifier.
    template: Shapes of the variables.
    layout: The layout that has these names.
    norm: Name of the norm, as in `config.model.norm`.

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
  actual = {
    name: array.shape
    for name, array in arrays.items()
    if not name.endswith(".num_batches_tracked")
  }
  optional = {*biases.values(), *_aliases(layout, names.values())}
  _check_fit(layout, wanted, actual, optional)

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
        f"{name} is not zero, and the group norm that follows cannot absorb it"
      )
    mean = f"batch_stats/{_norm_after(path)}/mean"
    if mean in flat:
      flat[mean] = flat[mean] - np.asarray(arrays[name], np.float32)
  return traverse_util.unflatten_dict(flat, sep="/")


def _rename(module: str, modules: Mapping[str, str]) -> str:
  """The name of a module in a layout, by the first pattern that matches."""
  matches = ((re.fullmatch(p, module), name) for p, name in modules.items())
  return next(match.expand(name) for match, name in matches if match)


def _aliases(layout: Layout, names: Iterable[str]) -> dict[str, str]:
  """The second names of arrays in a layout, each with the first."""
  parts = {name: name.partition(".") for name in names}
  return {
    f"{layout.aliases[module]}.{rest}": name
    for name, (module, _, rest) in parts.items()
    if module in layout.aliases
  }


def _torch_shape(leaf: Any) -> tuple[int, ...]:
  """The shape in PyTorch of an array with our order of axes."""
  return tuple(leaf.shape[axis] for axis in _TO_TORCH[leaf.ndim])


def _bias(weight: str) -> str:
  """The name of the bias of the layer with a weight of this name."""
  return weight.removesuffix("weight") + "bias"


def _norm_after(kernel: str) -> str:
  """The norm that follows the convolution with this kernel.

  For instance, it is 'block2_0/norm1' for 'params/block2_0/conv1/kernel'.
  """
  module = kernel.removeprefix("params/").removesuffix("/kernel")
  module = re.sub(r"conv(\w*)(/temporal)?$", r"norm\1", module)
  return re.sub(r"spatial$", "norm", module)


def _check_fit(
  layout: Layout,
  wanted: Mapping[str, tuple[int, ...]],
  actual: Mapping[str, tuple[int, ...]],
  optional: Collection[str],
) -> None:
  """Checks that a state dict has the names and shapes of a backbone.

  Args:
    layout: The layout, for the message.
    wanted: Shapes in PyTorch that the backbone needs, by name.
    actual: Shapes in the state dict, by name.
    optional: Names that the state dict may have besides.

  Raises:
    DataError: If a name or shape differs; names the first of each kind.
  """
  # Convolutions come first, as they differ most between networks.
  wanted = dict(sorted(wanted.items(), key=lambda item: -len(item[1])))
  actual = dict(sorted(actual.items(), key=lambda item: -len(item[1])))
  differences = {
    "missing": [n for n in wanted if n not in actual],
    "unexpected": [n for n in actual if n not in wanted and n not in optional],
    "of another shape": [
      f"{n} ({'×'.join(map(str, wanted[n]))} here, "
      f"{'×'.join(map(str, actual[n]))} in the file)"
      for n in wanted
      if n in actual and wanted[n] != actual[n]
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
