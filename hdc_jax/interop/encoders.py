"""The backbones in PyTorch, with module names as in published repositories.

This file depends on torch and safetensors only, so that it can be copied into
other projects. Modules are named as in the repositories that publish weights,
so that their checkpoints can be loaded:

  from hdc_jax.interop import encoders
  encoder = encoders.load("encoder.safetensors")
  endpoints = encoder(clips)

Clips are RGB in [-1, 1], float32 [B, 3, T, H, W]; the endpoints are 'block1' to
'block5', float32 [B, C, T, H, W].

In the shapes below, I and O are the numbers of input and output channels, and s
is the stride along an axis.
"""

import functools
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

Size = int | tuple[int, int, int]

# For each name the function of a number of channels, and perhaps of eps, that
# makes the norm.
NORMS: Mapping[str, Callable[..., nn.Module]] = {
  "instance": functools.partial(nn.InstanceNorm3d, affine=True),
  "batch": nn.BatchNorm3d,
  "group": lambda channels, **options: nn.GroupNorm(
    math.gcd(32, channels), channels, **options
  ),
}
_STAGES = (1, 2, 4, 8)  # channels of each stage, as multiples of the width


def _conv(
  in_channels: int,
  out_channels: int,
  kernel: Sequence[int],
  stride: Size = 1,
) -> nn.Conv3d:
  """A convolution without bias, padded so that stride 1 keeps the size."""
  padding = tuple(k // 2 for k in kernel)
  return nn.Conv3d(
    in_channels, out_channels, kernel, stride, padding, bias=False
  )


class PadShortcut(nn.Module):
  """Shortcut A: every stride-th position, and zeros for the new channels."""

  def __init__(self, in_channels: int, out_channels: int, stride: Size) -> None:
    """Creates the shortcut, which has no parameters.

    Args:
      in_channels: Number of input channels.
      out_channels: Number of output channels, at least `in_channels`.
      stride: Stride over T, H and W.
    """
    super().__init__()
    self.extra = out_channels - in_channels
    self.stride = stride

  def forward(self, x: Tensor) -> Tensor:
    """Maps [B, I, T, H, W] to [B, O, T/s, H/s, W/s]."""
    x = F.max_pool3d(x, kernel_size=1, stride=self.stride)
    return F.pad(x, (0, 0, 0, 0, 0, 0, 0, self.extra))


def _shortcut(
  kind: str,
  norm: Callable[[int], nn.Module],
  in_channels: int,
  out_channels: int,
  stride: Size,
) -> nn.Module:
  """The shortcut of a residual block: the identity where no shape changes.

  Args:
    kind: 'A' (subsampled and padded with zero channels) or 'B' (1×1×1
      convolution).
    norm: Function of a number of channels that makes a norm.
    in_channels: Number of input channels.
    out_channels: Number of output channels.
    stride: Stride of the block over T, H and W.
  """
  if in_channels == out_channels and stride == 1:
    return nn.Identity()
  if kind == "A":
    return PadShortcut(in_channels, out_channels, stride)
  projection = _conv(in_channels, out_channels, (1, 1, 1), stride)
  return nn.Sequential(projection, norm(out_channels))


class BasicBlock(nn.Module):
  """A residual block of two convolutions."""

  expansion = 1

  def __init__(
    self,
    in_channels: int,
    channels: int,
    temporal_kernel: int,
    stride: Size,
    norm: Callable[[int], nn.Module],
    shortcut: str,
  ) -> None:
    """Creates the layers.

    Args:
      in_channels: Number of input channels.
      channels: Number of output channels.
      temporal_kernel: Kernel size over time of both convolutions.
      stride: Stride of the first convolution over T, H and W.
      norm: Function of a number of channels that makes a norm.
      shortcut: Kind of shortcut where the shape changes, 'A' or 'B'.
    """
    super().__init__()
    kernel = (temporal_kernel, 3, 3)
    self.conv1 = _conv(in_channels, channels, kernel, stride)
    self.bn1 = norm(channels)
    self.conv2 = _conv(channels, channels, kernel)
    self.bn2 = norm(channels)
    self.downsample = _shortcut(shortcut, norm, in_channels, channels, stride)

  def forward(self, x: Tensor) -> Tensor:
    """Maps [B, I, T, H, W] to [B, O, T/s, H/s, W/s]."""
    y = F.relu(self.bn1(self.conv1(x)))
    y = self.bn2(self.conv2(y))
    return F.relu(y + self.downsample(x))


class Bottleneck(nn.Module):
  """A residual block of convolutions over time, over space and over neither."""

  expansion = 4

  def __init__(
    self,
    in_channels: int,
    channels: int,
    temporal_kernel: int,
    stride: Size,
    norm: Callable[[int], nn.Module],
    shortcut: str,
  ) -> None:
    """Creates the layers.

    Args:
      in_channels: Number of input channels.
      channels: Number of channels of the first two convolutions; the output has
        four times as many.
      temporal_kernel: Kernel size over time of the first convolution.
      stride: Stride of the second convolution over T, H and W.
      norm: Function of a number of channels that makes a norm.
      shortcut: Kind of shortcut where the shape changes, 'A' or 'B'.
    """
    super().__init__()
    out_channels = channels * self.expansion
    self.conv1 = _conv(in_channels, channels, (temporal_kernel, 1, 1))
    self.bn1 = norm(channels)
    self.conv2 = _conv(channels, channels, (1, 3, 3), stride)
    self.bn2 = norm(channels)
    self.conv3 = _conv(channels, out_channels, (1, 1, 1))
    self.bn3 = norm(out_channels)
    self.downsample = _shortcut(
      shortcut, norm, in_channels, out_channels, stride
    )

  def forward(self, x: Tensor) -> Tensor:
    """Maps [B, I, T, H, W] to [B, O, T, H/s, W/s]."""
    y = F.relu(self.bn1(self.conv1(x)))
    y = F.relu(self.bn2(self.conv2(y)))
    y = self.bn3(self.conv3(y))
    return F.relu(y + self.downsample(x))


class FullBottleneck(Bottleneck):
  """A residual block whose second convolution spans time and space."""

  def __init__(
    self,
    in_channels: int,
    channels: int,
    temporal_kernel: int,
    stride: Size,
    norm: Callable[[int], nn.Module],
    shortcut: str,
  ) -> None:
    """Creates the layers, see `Bottleneck`.

    Args:
      in_channels: Number of input channels.
      channels: Number of channels of the first two convolutions.
      temporal_kernel: Kernel size over time of the second convolution.
      stride: Stride of the second convolution over T, H and W.
      norm: Function of a number of channels that makes a norm.
      shortcut: Kind of shortcut where the shape changes, 'A' or 'B'.
    """
    super().__init__(in_channels, channels, 1, stride, norm, shortcut)
    self.conv2 = _conv(channels, channels, (temporal_kernel, 3, 3), stride)


class ResNet3D(nn.Module):
  """3D-ResNet (Hara et al., CVPR 2018), and that of CVRL (arXiv 2008.03800).

  Modules are named as in kenshohara/3D-ResNets-PyTorch. Without the pool and
  with stem (3, 7, 7), shortcut B and batch norm, r3d18 is torchvision's r3d_18.
  """

  def __init__(
    self,
    block: type[BasicBlock] | type[Bottleneck],
    depths: Sequence[int],
    *,
    width: int = 64,
    norm: str = "instance",
    stem: Sequence[int] = (7, 7, 7),
    stem_stride: Size = (1, 2, 2),
    stem_pool: bool = True,
    pool: Size = 3,
    pool_stride: Size = 2,
    pool_padding: Size = 1,
    temporal_kernels: Sequence[int] = (3, 3, 3, 3),
    stride: Size = 2,
    shortcut: str = "A",
  ) -> None:
    """Creates the layers.

    Args:
      block: Class of the residual blocks.
      depths: Number of blocks in each of the four stages.
      width: Number of channels of the stem; the stages have 1, 2, 4 and 8 times
        as many, times the expansion of the block.
      norm: Name of the norm, a key of `NORMS`.
      stem: Kernel size of the stem over T, H and W.
      stem_stride: Stride of the stem over T, H and W.
      stem_pool: Whether a max pool follows the stem.
      pool: Window of that pool over T, H and W.
      pool_stride: Stride of that pool.
      pool_padding: Padding of that pool.
      temporal_kernels: Kernel size over time in each of the four stages.
      stride: Stride of the first block of the second to fourth stage.
      shortcut: Kind of shortcut where the shape changes: 'A' (subsampled and
        padded with zero channels) or 'B' (1×1×1 convolution).
    """
    super().__init__()
    make_norm = NORMS[norm]
    self.conv1 = _conv(3, width, stem, stem_stride)
    self.bn1 = make_norm(width)
    self.maxpool = (
      nn.MaxPool3d(pool, pool_stride, pool_padding)
      if stem_pool
      else nn.Identity()
    )
    in_channels = width
    for i, depth in enumerate(depths):
      channels = width * _STAGES[i]
      layer = nn.Sequential()
      for j in range(depth):
        step = stride if i > 0 and j == 0 else 1
        layer.append(
          block(
            in_channels,
            channels,
            temporal_kernels[i],
            step,
            make_norm,
            shortcut,
          )
        )
        in_channels = channels * block.expansion
      self.add_module(f"layer{i + 1}", layer)

  def forward(self, x: Tensor) -> dict[str, Tensor]:
    """Encodes clips [B, 3, T, H, W]; 'block1' is taken before the pool."""
    x = F.relu(self.bn1(self.conv1(x)))
    endpoints = {"block1": x}
    x = self.maxpool(x)
    stages = (self.layer1, self.layer2, self.layer3, self.layer4)
    for number, layer in enumerate(stages, start=2):
      x = endpoints[f"block{number}"] = layer(x)
    return endpoints


# Channels of the six convolutions in each module of Inception-v1 of width 64:
# of branch 0; of branches 1 and 2, two each; and of branch 3.
_INCEPTION = {
  "3b": (64, 96, 128, 16, 32, 32),
  "3c": (128, 128, 192, 32, 96, 64),
  "4b": (192, 96, 208, 16, 48, 64),
  "4c": (160, 112, 224, 24, 64, 64),
  "4d": (128, 128, 256, 24, 64, 64),
  "4e": (112, 144, 288, 32, 64, 64),
  "4f": (256, 160, 320, 32, 128, 128),
  "5b": (256, 160, 320, 32, 128, 128),
  "5c": (384, 192, 384, 48, 128, 128),
}


def _narrowed(channels: Sequence[int], width: int) -> list[int]:
  """Numbers of channels in a network whose stem has `width` instead of 64."""
  return [max(1, number * width // 64) for number in channels]


def _unit(
  in_channels: int,
  out_channels: int,
  kernel: Sequence[int],
  norm: Callable[[int], nn.Module],
  stride: Size = 1,
) -> nn.Sequential:
  """A convolution, a norm and a ReLU."""
  conv = _conv(in_channels, out_channels, kernel, stride)
  return nn.Sequential(conv, norm(out_channels), nn.ReLU())


def _separable(
  in_channels: int,
  out_channels: int,
  size: int,
  norm: Callable[[int], nn.Module],
  stride: int = 1,
) -> nn.Sequential:
  """A convolution over space and one over time, each with norm and ReLU."""
  space, time = (1, size, size), (size, 1, 1)
  return nn.Sequential(
    _unit(in_channels, out_channels, space, norm, (1, stride, stride)),
    _unit(out_channels, out_channels, time, norm, (stride, 1, 1)),
  )


class SepInceptionBlock3D(nn.Module):
  """A module of S3D: four branches, whose outputs are concatenated."""

  def __init__(
    self,
    in_channels: int,
    channels: Sequence[int],
    norm: Callable[[int], nn.Module],
  ) -> None:
    """Creates the layers.

    Args:
      in_channels: Number of input channels.
      channels: Channels of the six convolutions, as in `_INCEPTION`.
      norm: Function of a number of channels that makes a norm.
    """
    super().__init__()
    c0, c1a, c1b, c2a, c2b, c3 = channels
    one = (1, 1, 1)
    self.branch0 = _unit(in_channels, c0, one, norm)
    self.branch1 = nn.Sequential(
      _unit(in_channels, c1a, one, norm), _separable(c1a, c1b, 3, norm)
    )
    self.branch2 = nn.Sequential(
      _unit(in_channels, c2a, one, norm), _separable(c2a, c2b, 3, norm)
    )
    self.branch3 = nn.Sequential(
      nn.MaxPool3d(3, 1, 1), _unit(in_channels, c3, one, norm)
    )
    self.out_channels = c0 + c1b + c2b + c3

  def forward(self, x: Tensor) -> Tensor:
    """Maps [B, I, T, H, W] to [B, O, T, H, W]."""
    branches = (self.branch0, self.branch1, self.branch2, self.branch3)
    return torch.cat([branch(x) for branch in branches], dim=1)


class S3D(nn.Module):
  """S3D as in torchvision."""

  # The numbers of the layers that end blocks.
  ENDS: Mapping[int, str] = {
    **{0: "block1", 3: "block2", 6: "block3", 12: "block4", 15: "block5"}
  }

  def __init__(
    self, *, width: int = 64, norm: str = "instance", epsilon: float = 1e-3
  ) -> None:
    """Creates the layers.

    Args:
      width: Number of channels of the stem, with which all others scale.
      norm: Name of the norm, a key of `NORMS`.
      epsilon: What the norms add to the variance.
    """
    super().__init__()
    make_norm = functools.partial(NORMS[norm], eps=epsilon)
    (middle,) = _narrowed((192,), width)
    self.features = nn.Sequential(
      _separable(3, width, 7, make_norm, stride=2),
      nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
      _unit(width, width, (1, 1, 1), make_norm),
      _separable(width, middle, 3, make_norm),
      nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    )
    pools = {"4b": nn.MaxPool3d(3, 2, 1), "5b": nn.MaxPool3d(2, 2)}
    for name, channels in _INCEPTION.items():
      if name in pools:
        self.features.append(pools[name])
      module = SepInceptionBlock3D(
        middle, _narrowed(channels, width), make_norm
      )
      self.features.append(module)
      middle = module.out_channels

  def forward(self, x: Tensor) -> dict[str, Tensor]:
    """Encodes clips [B, 3, T, H, W]; endpoints are taken before the pools."""
    endpoints = {}
    for number, layer in enumerate(self.features):
      x = layer(x)
      if number in self.ENDS:
        endpoints[self.ENDS[number]] = x
    return endpoints


def _pad_as_tensorflow(
  x: Tensor, kernel: Sequence[int], stride: Sequence[int]
) -> Tensor:
  """Adds zeros for ⌈size/stride⌉ positions, the odd one at the end."""
  ends: list[int] = []
  for size, k, s in zip(x.shape[2:], kernel, stride, strict=True):
    count = max((math.ceil(size / s) - 1) * s + k - size, 0)
    ends = [count // 2, count - count // 2, *ends]  # the last axis first
  return F.pad(x, ends)


class Unit3D(nn.Module):
  """A convolution, a norm and a ReLU, padded as by TensorFlow."""

  def __init__(
    self,
    in_channels: int,
    out_channels: int,
    size: int,
    norm: Callable[[int], nn.Module],
    stride: int = 1,
  ) -> None:
    """Creates the layers.

    Args:
      in_channels: Number of input channels.
      out_channels: Number of output channels.
      size: Kernel size over T, H and W.
      norm: Function of a number of channels that makes a norm.
      stride: Stride over T, H and W.
    """
    super().__init__()
    self.conv3d = nn.Conv3d(in_channels, out_channels, size, stride, bias=False)
    self.bn = norm(out_channels)

  def forward(self, x: Tensor) -> Tensor:
    """Maps [B, I, T, H, W] to [B, O, ⌈T/s⌉, ⌈H/s⌉, ⌈W/s⌉]."""
    x = _pad_as_tensorflow(x, self.conv3d.kernel_size, self.conv3d.stride)
    return F.relu(self.bn(self.conv3d(x)))


class MaxPool3dSame(nn.MaxPool3d):
  """A max pool of what is not negative, padded as by TensorFlow."""

  def forward(self, x: Tensor) -> Tensor:
    """Maps [B, C, T, H, W] to [B, C, ⌈T/s⌉, ⌈H/s⌉, ⌈W/s⌉]."""
    return super().forward(_pad_as_tensorflow(x, self.kernel_size, self.stride))


class InceptionModule(nn.Module):
  """A module of I3D: four branches, whose outputs are concatenated."""

  def __init__(
    self,
    in_channels: int,
    channels: Sequence[int],
    norm: Callable[[int], nn.Module],
  ) -> None:
    """Creates the layers.

    Args:
      in_channels: Number of input channels.
      channels: Channels of the six convolutions, as in `_INCEPTION`.
      norm: Function of a number of channels that makes a norm.
    """
    super().__init__()
    c0, c1a, c1b, c2a, c2b, c3 = channels
    self.b0 = Unit3D(in_channels, c0, 1, norm)
    self.b1a = Unit3D(in_channels, c1a, 1, norm)
    self.b1b = Unit3D(c1a, c1b, 3, norm)
    self.b2a = Unit3D(in_channels, c2a, 1, norm)
    self.b2b = Unit3D(c2a, c2b, 3, norm)
    self.b3a = MaxPool3dSame((3, 3, 3), (1, 1, 1))
    self.b3b = Unit3D(in_channels, c3, 1, norm)
    self.out_channels = c0 + c1b + c2b + c3

  def forward(self, x: Tensor) -> Tensor:
    """Maps [B, I, T, H, W] to [B, O, T, H, W]."""
    branches = (
      self.b0(x),
      self.b1b(self.b1a(x)),
      self.b2b(self.b2a(x)),
      self.b3b(self.b3a(x)),
    )
    return torch.cat(branches, dim=1)


class I3D(nn.Module):
  """I3D as in piergiaj/pytorch-i3d."""

  def __init__(
    self, *, width: int = 64, norm: str = "instance", epsilon: float = 1e-3
  ) -> None:
    """Creates the layers.

    Args:
      width: Number of channels of the stem, with which all others scale.
      norm: Name of the norm, a key of `NORMS`.
      epsilon: What the norms add to the variance.
    """
    super().__init__()
    make_norm = functools.partial(NORMS[norm], eps=epsilon)
    (middle,) = _narrowed((192,), width)
    self.Conv3d_1a_7x7 = Unit3D(3, width, 7, make_norm, stride=2)
    self.Conv3d_2b_1x1 = Unit3D(width, width, 1, make_norm)
    self.Conv3d_2c_3x3 = Unit3D(width, middle, 3, make_norm)
    for name, channels in _INCEPTION.items():
      module = InceptionModule(middle, _narrowed(channels, width), make_norm)
      self.add_module(f"Mixed_{name}", module)
      middle = module.out_channels
    self.pools = nn.ModuleDict(
      {
        "2": MaxPool3dSame((1, 3, 3), (1, 2, 2)),
        "3": MaxPool3dSame((1, 3, 3), (1, 2, 2)),
        "4": MaxPool3dSame((3, 3, 3), (2, 2, 2)),
        "5": MaxPool3dSame((2, 2, 2), (2, 2, 2)),
      }
    )

  def forward(self, x: Tensor) -> dict[str, Tensor]:
    """Encodes clips [B, 3, T, H, W]; endpoints are taken before the pools."""
    x = self.Conv3d_1a_7x7(x)
    endpoints = {"block1": x}
    x = self.Conv3d_2b_1x1(self.pools["2"](x))
    x = endpoints["block2"] = self.Conv3d_2c_3x3(x)
    for number in ("3", "4", "5"):
      x = self.pools[number](x)
      for name in _INCEPTION:
        if name.startswith(number):
          x = self.get_submodule(f"Mixed_{name}")(x)
      endpoints[f"block{number}"] = x
    return endpoints


class C3D(nn.Module):
  """C3D with norms, as in xudejing/video-clip-order-prediction.

  As there, the convolutions have biases, although a norm follows each.
  """

  # For each block the pool before it, and the channels of its convolutions by
  # name, as multiples of the width.
  BLOCKS = (
    (1, {"1": 1}),
    ((1, 2, 2), {"2": 2}),
    (2, {"3a": 4, "3b": 4}),
    (2, {"4a": 8, "4b": 8}),
    (2, {"5a": 8, "5b": 8}),
  )

  def __init__(self, *, width: int = 64, norm: str = "instance") -> None:
    """Creates the layers.

    Args:
      width: Number of channels of the first convolution; the later ones have up
        to 8 times as many.
      norm: Name of the norm, a key of `NORMS`.
    """
    super().__init__()
    in_channels = 3
    for _, convs in self.BLOCKS:
      for name, multiple in convs.items():
        channels = width * multiple
        conv = nn.Conv3d(in_channels, channels, kernel_size=3, padding=1)
        self.add_module(f"conv{name}", conv)
        self.add_module(f"bn{name}", NORMS[norm](channels))
        in_channels = channels

  def forward(self, x: Tensor) -> dict[str, Tensor]:
    """Encodes clips [B, 3, T, H, W]; endpoints are taken before the pools."""
    endpoints = {}
    for number, (pool, convs) in enumerate(self.BLOCKS, start=1):
      x = F.max_pool3d(x, pool)
      for name in convs:
        conv, norm = getattr(self, f"conv{name}"), getattr(self, f"bn{name}")
        x = F.relu(norm(conv(x)))
      endpoints[f"block{number}"] = x
    return endpoints


def _middle(
  kernel: tuple[int, int, int], in_channels: int, out_channels: int
) -> int:
  """Middle channels with which a factored convolution has as many weights."""
  t, h, w = kernel
  area = h * w * in_channels
  return t * area * out_channels // (area + t * out_channels)


class SpatioTemporalConv(nn.Module):
  """A 3D convolution factored into one over space and one over time."""

  def __init__(
    self,
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, int, int],
    stride: tuple[int, int, int],
    norm: Callable[[int], nn.Module],
  ) -> None:
    """Creates the layers, with about as many weights as the one convolution.

    Args:
      in_channels: Number of input channels.
      out_channels: Number of output channels.
      kernel: Kernel size over T, H and W.
      stride: Stride over T, H and W.
      norm: Function of a number of channels that makes a norm.
    """
    super().__init__()
    (t, h, w), (stride_t, stride_h, stride_w) = kernel, stride
    mid = _middle(kernel, in_channels, out_channels)
    self.spatial_conv = _conv(
      in_channels, mid, (1, h, w), (1, stride_h, stride_w)
    )
    self.bn = norm(mid)
    self.temporal_conv = _conv(mid, out_channels, (t, 1, 1), (stride_t, 1, 1))

  def forward(self, x: Tensor) -> Tensor:
    """Maps [B, I, T, H, W] to [B, O, T/s, H/s, W/s]."""
    return self.temporal_conv(F.relu(self.bn(self.spatial_conv(x))))


class SpatioTemporalResBlock(nn.Module):
  """A residual block of two factored convolutions; its shortcut is factored."""

  def __init__(
    self,
    in_channels: int,
    out_channels: int,
    stride: int,
    norm: Callable[[int], nn.Module],
  ) -> None:
    """Creates the layers.

    Args:
      in_channels: Number of input channels.
      out_channels: Number of output channels.
      stride: Stride over T, H and W; a stride of 1 makes the shortcut the
        identity.
      norm: Function of a number of channels that makes a norm.
    """
    super().__init__()
    kernel, step, one = (3, 3, 3), (stride, stride, stride), (1, 1, 1)
    self.downsample = stride != 1
    if self.downsample:
      self.downsampleconv = SpatioTemporalConv(
        in_channels, out_channels, one, step, norm
      )
      self.downsamplebn = norm(out_channels)
    self.conv1 = SpatioTemporalConv(
      in_channels, out_channels, kernel, step, norm
    )
    self.bn1 = norm(out_channels)
    self.conv2 = SpatioTemporalConv(
      out_channels, out_channels, kernel, one, norm
    )
    self.bn2 = norm(out_channels)

  def forward(self, x: Tensor) -> Tensor:
    """Maps [B, I, T, H, W] to [B, O, T/s, H/s, W/s]."""
    y = F.relu(self.bn1(self.conv1(x)))
    y = self.bn2(self.conv2(y))
    if self.downsample:
      x = self.downsamplebn(self.downsampleconv(x))
    return F.relu(y + x)


class SpatioTemporalResLayer(nn.Module):
  """A stage of residual blocks, of which the first may have a stride."""

  def __init__(
    self,
    in_channels: int,
    out_channels: int,
    depth: int,
    stride: int,
    norm: Callable[[int], nn.Module],
  ) -> None:
    """Creates the blocks.

    Args:
      in_channels: Number of input channels.
      out_channels: Number of output channels.
      depth: Number of blocks.
      stride: Stride of the first block over T, H and W.
      norm: Function of a number of channels that makes a norm.
    """
    super().__init__()
    self.block1 = SpatioTemporalResBlock(
      in_channels, out_channels, stride, norm
    )
    self.blocks = nn.ModuleList(
      SpatioTemporalResBlock(out_channels, out_channels, 1, norm)
      for _ in range(depth - 1)
    )

  def forward(self, x: Tensor) -> Tensor:
    """Maps [B, I, T, H, W] to [B, O, T/s, H/s, W/s]."""
    x = self.block1(x)
    for block in self.blocks:
      x = block(x)
    return x


class R2Plus1D(nn.Module):
  """R(2+1)D as in xudejing/video-clip-order-prediction."""

  def __init__(
    self,
    layer_sizes: Sequence[int] = (1, 1, 1, 1),
    *,
    width: int = 64,
    norm: str = "instance",
  ) -> None:
    """Creates the layers.

    Args:
      layer_sizes: Number of blocks in each of the four stages.
      width: Number of channels of the stem; the stages have 1, 2, 4 and 8 times
        as many.
      norm: Name of the norm, a key of `NORMS`.
    """
    super().__init__()
    make_norm = NORMS[norm]
    self.conv1 = SpatioTemporalConv(3, width, (3, 7, 7), (1, 2, 2), make_norm)
    self.bn1 = make_norm(width)
    in_channels = width
    for i, depth in enumerate(layer_sizes):
      channels = width * _STAGES[i]
      layer = SpatioTemporalResLayer(
        in_channels, channels, depth, 2 if i else 1, make_norm
      )
      self.add_module(f"conv{i + 2}", layer)
      in_channels = channels

  def forward(self, x: Tensor) -> dict[str, Tensor]:
    """Encodes clips [B, 3, T, H, W]."""
    x = F.relu(self.bn1(self.conv1(x)))
    endpoints = {"block1": x}
    stages = (self.conv2, self.conv3, self.conv4, self.conv5)
    for number, layer in enumerate(stages, start=2):
      x = endpoints[f"block{number}"] = layer(x)
    return endpoints


def _factored(
  kernel: tuple[int, int, int],
  in_channels: int,
  mid_channels: int,
  out_channels: int,
  stride: Size,
  norm: Callable[[int], nn.Module],
) -> nn.Sequential:
  """A convolution over space, a norm, a ReLU and a convolution over time."""
  (t, h, w) = kernel
  step_t, step_h, step_w = (stride,) * 3 if isinstance(stride, int) else stride
  space = _conv(in_channels, mid_channels, (1, h, w), (1, step_h, step_w))
  time = _conv(mid_channels, out_channels, (t, 1, 1), (step_t, 1, 1))
  return nn.Sequential(space, norm(mid_channels), nn.ReLU(), time)


class FactoredBlock(nn.Module):
  """A residual block of two factored convolutions, as in torchvision.

  Both have the middle channels of the first, and the shortcut is not factored.
  """

  def __init__(
    self,
    in_channels: int,
    out_channels: int,
    stride: int,
    norm: Callable[[int], nn.Module],
  ) -> None:
    """Creates the layers.

    Args:
      in_channels: Number of input channels.
      out_channels: Number of output channels.
      stride: Stride over T, H and W.
      norm: Function of a number of channels that makes a norm.
    """
    super().__init__()
    mid = _middle((3, 3, 3), in_channels, out_channels)
    self.conv1 = nn.Sequential(
      _factored((3, 3, 3), in_channels, mid, out_channels, stride, norm),
      norm(out_channels),
      nn.ReLU(),
    )
    self.conv2 = nn.Sequential(
      _factored((3, 3, 3), out_channels, mid, out_channels, 1, norm),
      norm(out_channels),
    )
    self.downsample = _shortcut("B", norm, in_channels, out_channels, stride)

  def forward(self, x: Tensor) -> Tensor:
    """Maps [B, I, T, H, W] to [B, O, T/s, H/s, W/s]."""
    return F.relu(self.conv2(self.conv1(x)) + self.downsample(x))


class VideoResNet(nn.Module):
  """R(2+1)D with 18 layers, named as torchvision's r2plus1d_18."""

  def __init__(self, *, width: int = 64, norm: str = "instance") -> None:
    """Creates the layers.

    Args:
      width: Number of channels of the stem; the stages have 1, 2, 4 and 8 times
        as many. The stem has 45 / 64 as many middle channels.
      norm: Name of the norm, a key of `NORMS`.
    """
    super().__init__()
    make_norm, mid = NORMS[norm], max(1, 45 * width // 64)
    self.stem = nn.Sequential(
      *_factored((3, 7, 7), 3, mid, width, (1, 2, 2), make_norm),
      make_norm(width),
      nn.ReLU(),
    )
    in_channels = width
    for i, multiple in enumerate(_STAGES, start=1):
      channels, stride = width * multiple, 2 if i > 1 else 1
      layer = nn.Sequential(
        FactoredBlock(in_channels, channels, stride, make_norm),
        FactoredBlock(channels, channels, 1, make_norm),
      )
      self.add_module(f"layer{i}", layer)
      in_channels = channels

  def forward(self, x: Tensor) -> dict[str, Tensor]:
    """Encodes clips [B, 3, T, H, W]."""
    endpoints = {}
    stages = (self.stem, self.layer1, self.layer2, self.layer3, self.layer4)
    for number, layer in enumerate(stages, start=1):
      x = endpoints[f"block{number}"] = layer(x)
    return endpoints


class SlowBlock(nn.Module):
  """A bottleneck, named as in PyTorchVideo."""

  def __init__(
    self,
    in_channels: int,
    channels: int,
    temporal_kernel: int,
    stride: int,
    norm: Callable[[int], nn.Module],
  ) -> None:
    """Creates the layers.

    Args:
      in_channels: Number of input channels.
      channels: Number of channels of the first two convolutions; the output has
        four times as many.
      temporal_kernel: Kernel size over time of the first convolution.
      stride: Stride of the second convolution over H and W.
      norm: Function of a number of channels that makes a norm.
    """
    super().__init__()
    out_channels, strides = 4 * channels, (1, stride, stride)
    if in_channels != out_channels:
      self.branch1_conv = _conv(in_channels, out_channels, (1, 1, 1), strides)
      self.branch1_norm = norm(out_channels)
    self.branch2 = nn.Sequential()
    for name, inputs, outputs, kernel, step in (
      ("a", in_channels, channels, (temporal_kernel, 1, 1), 1),
      ("b", channels, channels, (1, 3, 3), strides),
      ("c", channels, out_channels, (1, 1, 1), 1),
    ):
      conv = _conv(inputs, outputs, kernel, step)
      self.branch2.add_module(f"conv_{name}", conv)
      self.branch2.add_module(f"norm_{name}", norm(outputs))
      if name != "c":
        self.branch2.add_module(f"act_{name}", nn.ReLU())

  def forward(self, x: Tensor) -> Tensor:
    """Maps [B, I, T, H, W] to [B, O, T, H/s, W/s]."""
    y = self.branch2(x)
    if hasattr(self, "branch1_conv"):
      x = self.branch1_norm(self.branch1_conv(x))
    return F.relu(x + y)


class SlowOnly(nn.Module):
  """SlowOnly R50, named as PyTorchVideo's slow_r50."""

  def __init__(self, *, width: int = 64, norm: str = "instance") -> None:
    """Creates the layers.

    Args:
      width: Number of channels of the stem; the stages have 4, 8, 16 and 32
        times as many.
      norm: Name of the norm, a key of `NORMS`.
    """
    super().__init__()
    make_norm, stem = NORMS[norm], nn.Module()
    stem.conv = _conv(3, width, (1, 7, 7), (1, 2, 2))
    stem.norm = make_norm(width)
    self.blocks = nn.ModuleList([stem])
    in_channels = width
    for i, (depth, time) in enumerate(((3, 1), (4, 1), (6, 3), (3, 3))):
      stage, channels = nn.Module(), width * _STAGES[i]
      stage.res_blocks = nn.Sequential()
      for j in range(depth):
        stride = 2 if i > 0 and j == 0 else 1
        stage.res_blocks.append(
          SlowBlock(in_channels, channels, time, stride, make_norm)
        )
        in_channels = 4 * channels
      self.blocks.append(stage)

  def forward(self, x: Tensor) -> dict[str, Tensor]:
    """Encodes clips [B, 3, T, H, W]; 'block1' is taken before the pool."""
    stem, *stages = self.blocks
    x = F.relu(stem.norm(stem.conv(x)))
    endpoints = {"block1": x}
    x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for number, stage in enumerate(stages, start=2):
      x = endpoints[f"block{number}"] = stage.res_blocks(x)
    return endpoints


# The networks of bottlenecks by where they were published.
_DESIGNS: Mapping[str, Mapping[str, Any]] = {
  "hara": {"block": FullBottleneck, "shortcut": "B"},
  "cvrl": {
    "block": Bottleneck,
    "stem": (5, 7, 7),
    "stem_stride": (2, 2, 2),
    "pool": (1, 3, 3),
    "pool_stride": (1, 2, 2),
    "pool_padding": (0, 1, 1),
    "temporal_kernels": (1, 1, 3, 3),
    "stride": (1, 2, 2),
    "shortcut": "B",
  },
}


def _bottlenecks(
  depths: Sequence[int], own: str, *, design: str = "", **options: Any
) -> ResNet3D:
  """A network of bottlenecks, of its own design unless another is given."""
  arguments = {**_DESIGNS[design or own], **options}
  return ResNet3D(depths=depths, **arguments)


# The function that makes each encoder, by name. All have the options `width`
# and `norm`; r3d… also `stem`, `shortcut` and `stem_pool`; r3d50, r3d101 and
# r3d152 also `design`.
ENCODERS: Mapping[str, Callable[..., nn.Module]] = {
  "c3d": C3D,
  # These two also have the option `epsilon`.
  "i3d": I3D,
  "s3d": S3D,
  "r2plus1d10": R2Plus1D,
  "r2plus1d18": VideoResNet,
  "r3d18": functools.partial(ResNet3D, BasicBlock, (2, 2, 2, 2)),
  "r3d34": functools.partial(ResNet3D, BasicBlock, (3, 4, 6, 3)),
  "r3d50": functools.partial(_bottlenecks, (3, 4, 6, 3), "cvrl"),
  "r3d101": functools.partial(_bottlenecks, (3, 4, 23, 3), "hara"),
  "r3d152": functools.partial(_bottlenecks, (3, 8, 36, 3), "hara"),
  "slowonly50": SlowOnly,
}


def load(path: str | os.PathLike[str]) -> nn.Module:
  """Loads an encoder that `python -m hdc_jax.convert export` has written.

  Args:
    path: Path of a .safetensors file.

  Returns:
    The encoder, in eval mode.

  Raises:
    ValueError: If the metadata of the file do not name its encoder.
  """
  with safe_open(path, framework="pt") as file:
    metadata = file.metadata() or {}
  if "model" not in metadata:
    raise ValueError(
      f"{path} does not say which encoder it holds: write it with "
      "`python -m hdc_jax.convert export`, without --layout"
    )
  model = json.loads(metadata["model"])
  encoder = ENCODERS[model.pop("name")](**model)
  encoder.load_state_dict(load_file(path))
  return encoder.eval()
