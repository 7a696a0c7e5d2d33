"""Public definitions of networks, to compare ours with."""

import functools
import importlib.util
import os
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

# Where `make test-interop` puts torchvision, of which transformers, which would
# import it, is to see nothing.
_TORCHVISION = pathlib.Path(sys.prefix) / "torchvision"


@functools.cache
def torchvision_video():
  """torchvision.models.video, beside any build of PyTorch.

  The wheel on PyPI has operators that load beside PyTorch for CUDA alone, and
  its import needs two of them to be declared. No network of videos uses one.
  """
  sys.path.append(os.fspath(_TORCHVISION))
  try:
    found = importlib.util.find_spec("torchvision")
    try:
      torch.ops.load_library(pathlib.Path(found.origin).with_name("_C.so"))
    except OSError:
      declared = torch.library.Library("torchvision", "DEF")
      boxes = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
      for name in ("nms", "qnms"):
        declared.define(name + boxes)
      torchvision_video.declared = declared  # as long as the process lives
    from torchvision.models import video
  finally:
    sys.path.remove(os.fspath(_TORCHVISION))
  return video


# The endpoints of I3D in the order of its paper's figure 3. The max pools with
# their kernels and strides, the convolutions with the layers' own names.
_I3D = (
  "Conv3d_1a_7x7",
  ((1, 3, 3), (1, 2, 2)),
  "Conv3d_2b_1x1",
  "Conv3d_2c_3x3",
  ((1, 3, 3), (1, 2, 2)),
  "Mixed_3b",
  "Mixed_3c",
  ((3, 3, 3), (2, 2, 2)),
  *("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"),
  ((2, 2, 2), (2, 2, 2)),
  *("Mixed_5b", "Mixed_5c"),
)
# What each of our blocks is there.
I3D_BLOCKS = {
  "block1": "Conv3d_1a_7x7",
  "block2": "Conv3d_2c_3x3",
  "block3": "Mixed_3c",
  "block4": "Mixed_4f",
  "block5": "Mixed_5c",
}


def i3d(arrays, x):
  """I3D as piergiaj/pytorch-i3d publishes it, with batch norm's running means.

  Args:
    arrays: Tensors by the names there; kernels say what their size is.
    x: [B, 3, T, H, W].

  Returns:
    Endpoints by the names there.
  """

  def same(x, kernel, stride):
    """TensorFlow's SAME: what is missing of whole windows, more at the end."""
    pads = []
    axes = list(zip(x.shape[2:], kernel, stride, strict=True))
    for size, k, s in reversed(axes):
      missing = max(k - s if size % s == 0 else k - size % s, 0)
      pads += [missing // 2, missing - missing // 2]
    return F.pad(x, pads)

  def pool(x, kernel, stride):
    return F.max_pool3d(same(x, kernel, stride), kernel, stride)

  def unit(x, name, stride=(1, 1, 1)):
    kernel = arrays[f"{name}.conv3d.weight"]
    x = F.conv3d(same(x, kernel.shape[2:], stride), kernel, stride=stride)
    leaves = ("running_mean", "running_var", "weight", "bias")
    mean, var, scale, bias = (arrays[f"{name}.bn.{leaf}"] for leaf in leaves)
    return F.relu(F.batch_norm(x, mean, var, scale, bias, eps=1e-3))

  def module(x, name):
    pooled = pool(x, (3, 3, 3), (1, 1, 1))
    branches = [
      unit(x, f"{name}.b0"),
      unit(unit(x, f"{name}.b1a"), f"{name}.b1b"),
      unit(unit(x, f"{name}.b2a"), f"{name}.b2b"),
      unit(pooled, f"{name}.b3b"),
    ]
    return torch.cat(branches, dim=1)

  endpoints = {}
  for layer in _I3D:
    if not isinstance(layer, str):
      x = pool(x, *layer)
    elif layer.startswith("Mixed"):
      x = endpoints[layer] = module(x, layer)
    else:
      stride = (2, 2, 2) if layer == "Conv3d_1a_7x7" else (1, 1, 1)
      x = endpoints[layer] = unit(x, layer, stride)
  return endpoints


def randomise(module, seed=0):
  """Gives a network weights as of a trained one, nothing at its first value."""
  rng = np.random.default_rng(seed)
  for name, value in module.state_dict().items():
    shape = tuple(value.shape)
    if value.ndim > 1:
      drawn = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif name.endswith(("running_var", "weight")):
      drawn = rng.uniform(0.5, 1.5, shape)
    elif value.is_floating_point():
      drawn = rng.uniform(-0.3, 0.3, shape)
    else:
      continue
    value.copy_(torch.from_numpy(np.asarray(drawn, np.float32)))
