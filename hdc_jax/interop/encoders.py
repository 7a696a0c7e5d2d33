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

import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

Size = int | tuple[int, int, int]

# For each name the function of a number of channels that makes the norm.
NORMS: Mapping[str, Callable[[int], nn.Module]] = {
  "instance": functools.partial(nn.InstanceNorm3d, affine=True),
  "batch": nn.BatchNorm3d,
  "group": lambda channels: nn.GroupNorm(math.gcd(32, channels), channels),
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


class ResNet3D(nn.Module):
  """3D-ResNet (Hara et al., CVPR 2018) and CVRL's R3D-50 (arXiv 2008.03800).

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
    area = h * w * in_channels
    mid = t * area * out_channels // (area + t * out_channels)
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


# The function that makes each encoder, by name. All have the options `width`
# and `norm`; r3d18, r3d34 and r3d50 also `stem`, `shortcut` and `stem_pool`.
ENCODERS: Mapping[str, Callable[..., nn.Module]] = {
  "c3d": C3D,
  "r2plus1d10": R2Plus1D,
  "r3d18": functools.partial(ResNet3D, BasicBlock, (2, 2, 2, 2)),
  "r3d34": functools.partial(ResNet3D, BasicBlock, (3, 4, 6, 3)),
  "r3d50": functools.partial(
    ResNet3D,
    Bottleneck,
    (3, 4, 6, 3),
    stem=(5, 7, 7),
    stem_stride=(2, 2, 2),
    pool=(1, 3, 3),
    pool_stride=(1, 2, 2),
    pool_padding=(0, 1, 1),
    temporal_kernels=(1, 1, 3, 3),
    stride=(1, 2, 2),
    shortcut="B",
  ),
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
