"""The encoders in PyTorch, as in the published repositories.

This file needs torch and safetensors only and may be copied. Modules have the
names of the code that others publish weights for, so that checkpoints move:

  from hdc_jax.interop import encoders
  encoder = encoders.load("encoder.safetensors")
  endpoints = encoder(clips)

Clips are RGB in [-1, 1], float [B, 3, T, H, W]; the endpoints are 'block1' to
'block5', float [B, C, T, H, W].
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

NORMS: Mapping[str, Callable[[int], nn.Module]] = {
  "instance": functools.partial(nn.InstanceNorm3d, affine=True),
  "batch": nn.BatchNorm3d,
  "group": lambda channels: nn.GroupNorm(math.gcd(32, channels), channels),
}
_STAGES = (1, 2, 4, 8)  # channels, in widths


def _conv(
  in_channels: int,
  out_channels: int,
  kernel: Sequence[int],
  stride: Size = 1,
) -> nn.Conv3d:
  """A convolution without bias, centred on its input."""
  padding = tuple(k // 2 for k in kernel)
  return nn.Conv3d(
    in_channels, out_channels, kernel, stride, padding, bias=False
  )


class PadShortcut(nn.Module):
  """Shortcut A: every stride-th position, and zeros for the new channels."""

  def __init__(self, in_channels: int, out_channels: int, stride: Size) -> None:
    """Adds `out_channels` - `in_channels` channels."""
    super().__init__()
    self.extra = out_channels - in_channels
    self.stride = stride

  def forward(self, x: Tensor) -> Tensor:
    """From [B, I, T, H, W] to [B, O, T/s, H/s, W/s]."""
    x = F.max_pool3d(x, kernel_size=1, stride=self.stride)
    return F.pad(x, (0, 0, 0, 0, 0, 0, 0, self.extra))


def _shortcut(
  kind: str,
  norm: Callable[[int], nn.Module],
  in_channels: int,
  out_channels: int,
  stride: Size,
) -> nn.Module:
  """What goes around a block: the identity where no shape changes."""
  if in_channels == out_channels and stride == 1:
    return nn.Identity()
  if kind == "A":
    return PadShortcut(in_channels, out_channels, stride)
  projection = _conv(in_channels, out_channels, (1, 1, 1), stride)
  return nn.Sequential(projection, norm(out_channels))


class BasicBlock(nn.Module):
  """Two convolutions with a shortcut."""

  expansion = 1

  def __init__(
    self,
    in_channels: int,
    channels: int,
    time: int,
    stride: Size,
    norm: Callable[[int], nn.Module],
    shortcut: str,
  ) -> None:
    """Makes the layers.

    Args:
      in_channels: Of the input.
      channels: Of the output.
      time: Kernel size over time.
      stride: Of the first convolution.
      norm: From channels to a module.
      shortcut: 'A' or 'B'.
    """
    super().__init__()
    kernel = (time, 3, 3)
    self.conv1 = _conv(in_channels, channels, kernel, stride)
    self.bn1 = norm(channels)
    self.conv2 = _conv(channels, channels, kernel)
    self.bn2 = norm(channels)
    self.downsample = _shortcut(shortcut, norm, in_channels, channels, stride)

  def forward(self, x: Tensor) -> Tensor:
    """From [B, I, T, H, W] to [B, O, T/s, H/s, W/s]."""
    y = F.relu(self.bn1(self.conv1(x)))
    y = self.bn2(self.conv2(y))
    return F.relu(y + self.downsample(x))


class Bottleneck(nn.Module):
  """Three convolutions with a shortcut: over time, over space, over neither."""

  expansion = 4

  def __init__(
    self,
    in_channels: int,
    channels: int,
    time: int,
    stride: Size,
    norm: Callable[[int], nn.Module],
    shortcut: str,
  ) -> None:
    """Makes the layers.

    Args:
      in_channels: Of the input.
      channels: Of the first two convolutions; the output has four times these.
      time: Kernel size over time, of the first convolution.
      stride: Of the second convolution.
      norm: From channels to a module.
      shortcut: 'A' or 'B'.
    """
    super().__init__()
    out_channels = channels * self.expansion
    self.conv1 = _conv(in_channels, channels, (time, 1, 1))
    self.bn1 = norm(channels)
    self.conv2 = _conv(channels, channels, (1, 3, 3), stride)
    self.bn2 = norm(channels)
    self.conv3 = _conv(channels, out_channels, (1, 1, 1))
    self.bn3 = norm(out_channels)
    self.downsample = _shortcut(
      shortcut, norm, in_channels, out_channels, stride
    )

  def forward(self, x: Tensor) -> Tensor:
    """From [B, I, T, H, W] to [B, O, T, H/s, W/s]."""
    y = F.relu(self.bn1(self.conv1(x)))
    y = F.relu(self.bn2(self.conv2(y)))
    y = self.bn3(self.conv3(y))
    return F.relu(y + self.downsample(x))


class ResNet3D(nn.Module):
  """3D-ResNet (Hara et al., CVPR 2018) and CVRL's R3D-50 (arXiv 2008.03800).

  Names are of kenshohara/3D-ResNets-PyTorch. Without the pool, with stem
  (3, 7, 7), shortcut B and batch norm, r3d18 is torchvision's r3d_18.
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
    times: Sequence[int] = (3, 3, 3, 3),
    stride: Size = 2,
    shortcut: str = "A",
  ) -> None:
    """Makes the layers.

    Args:
      block: Of the four stages.
      depths: Blocks in each stage.
      width: Channels of the stem, which all others follow.
      norm: One of `NORMS`.
      stem: Kernel of the first convolution over T, H, W.
      stem_stride: Its stride.
      stem_pool: Whether a max pool follows.
      pool: Its kernel.
      pool_stride: Its stride.
      pool_padding: Its padding.
      times: Kernel size over time in each stage.
      stride: Of the second to fourth stage.
      shortcut: 'A' (subsample, zero channels) or 'B' (1×1×1 convolution).
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
          block(in_channels, channels, times[i], step, make_norm, shortcut)
        )
        in_channels = channels * block.expansion
      self.add_module(f"layer{i + 1}", layer)

  def forward(self, x: Tensor) -> dict[str, Tensor]:
    """From clips [B, 3, T, H, W] to endpoints; 'block1' is before the pool."""
    x = F.relu(self.bn1(self.conv1(x)))
    endpoints = {"block1": x}
    x = self.maxpool(x)
    stages = (self.layer1, self.layer2, self.layer3, self.layer4)
    for number, layer in enumerate(stages, start=2):
      x = endpoints[f"block{number}"] = layer(x)
    return endpoints


class C3D(nn.Module):
  """C3D with norms, as in xudejing/video-clip-order-prediction.

  Its convolutions have biases, although a norm follows each.
  """

  # By block: the pool before it, and its convolutions' channels, in widths.
  BLOCKS = (
    (1, {"1": 1}),
    ((1, 2, 2), {"2": 2}),
    (2, {"3a": 4, "3b": 4}),
    (2, {"4a": 8, "4b": 8}),
    (2, {"5a": 8, "5b": 8}),
  )

  def __init__(self, *, width: int = 64, norm: str = "instance") -> None:
    """Makes the layers.

    Args:
      width: Channels of the first convolution, which all others follow.
      norm: One of `NORMS`.
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
    """From clips [B, 3, T, H, W] to endpoints, each from before its pool."""
    endpoints = {}
    for number, (pool, convs) in enumerate(self.BLOCKS, start=1):
      x = F.max_pool3d(x, pool)
      for name in convs:
        conv, norm = getattr(self, f"conv{name}"), getattr(self, f"bn{name}")
        x = F.relu(norm(conv(x)))
      endpoints[f"block{number}"] = x
    return endpoints


class SpatioTemporalConv(nn.Module):
  """A 3D convolution in two: over space and then over time."""

  def __init__(
    self,
    in_channels: int,
    out_channels: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    norm: Callable[[int], nn.Module],
  ) -> None:
    """Makes the layers, with about as many weights as the one convolution."""
    super().__init__()
    t, h, w = kernel
    area = h * w * in_channels
    mid = t * area * out_channels // (area + t * out_channels)
    self.spatial_conv = _conv(in_channels, mid, (1, h, w), (1, *stride[1:]))
    self.bn = norm(mid)
    self.temporal_conv = _conv(mid, out_channels, (t, 1, 1), (stride[0], 1, 1))

  def forward(self, x: Tensor) -> Tensor:
    """From [B, I, T, H, W] to [B, O, T/s, H/s, W/s]."""
    return self.temporal_conv(F.relu(self.bn(self.spatial_conv(x))))


class SpatioTemporalResBlock(nn.Module):
  """Two factored convolutions with a shortcut, factored too."""

  def __init__(
    self,
    in_channels: int,
    out_channels: int,
    stride: int,
    norm: Callable[[int], nn.Module],
  ) -> None:
    """Makes the layers; a stride other than 1 makes a shortcut."""
    super().__init__()
    kernel, step, one = (3,) * 3, (stride,) * 3, (1,) * 3
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
    """From [B, I, T, H, W] to [B, O, T/s, H/s, W/s]."""
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
    """Makes `depth` blocks."""
    super().__init__()
    self.block1 = SpatioTemporalResBlock(
      in_channels, out_channels, stride, norm
    )
    self.blocks = nn.ModuleList(
      SpatioTemporalResBlock(out_channels, out_channels, 1, norm)
      for _ in range(depth - 1)
    )

  def forward(self, x: Tensor) -> Tensor:
    """From [B, I, T, H, W] to [B, O, T/s, H/s, W/s]."""
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
    """Makes the layers.

    Args:
      layer_sizes: Blocks in each of the four stages.
      width: Channels of the stem, which all others follow.
      norm: One of `NORMS`.
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
    """From clips [B, 3, T, H, W] to endpoints."""
    x = F.relu(self.bn1(self.conv1(x)))
    endpoints = {"block1": x}
    stages = (self.conv2, self.conv3, self.conv4, self.conv5)
    for number, layer in enumerate(stages, start=2):
      x = endpoints[f"block{number}"] = layer(x)
    return endpoints


# Each takes width and norm; r3d* also stem, shortcut and stem_pool.
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
    times=(1, 1, 3, 3),
    stride=(1, 2, 2),
    shortcut="B",
  ),
}


def load(path: str | os.PathLike[str]) -> nn.Module:
  """An encoder that `python -m hdc_jax.convert export` wrote.

  Args:
    path: Of a .safetensors file.

  Returns:
    The encoder, in eval mode.

  Raises:
    ValueError: If the file does not say which encoder it holds.
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
