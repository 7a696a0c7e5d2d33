"""S3D and I3D against their public definitions, at full width."""

import functools

import jax
import numpy as np
import pytest
import torch

from hdc_jax.convert import layouts
from hdc_jax.interop import encoders
from tests import weights
from tests.interop import published_networks

# Hardly optimised: a quarter of the time for compiling, and the same values.
QUICK = {"xla_backend_optimization_level": 0}


def clip(shape):
  """Waves and noise, in [-1, 1], [B, T, H, W, 3]."""
  noise = np.random.default_rng(1).standard_normal(shape)
  waves = np.sin(np.indices(shape).sum(0) / 5)
  return np.clip(0.5 * waves + 0.3 * noise, -1, 1).astype("f4")


def channels_first(x):
  return torch.from_numpy(np.moveaxis(np.asarray(x), -1, 1).copy())


def ours(name, arrays, x):
  """Our endpoints from a state dict by its published names."""
  like = weights.template(name, "batch", 64)
  layout = layouts.detect(arrays, like, name)
  variables = layouts.from_torch(arrays, like, layout, "batch")
  module = weights.backbone(name, "batch", 64).make()
  apply = functools.partial(module.apply, train=False)
  endpoints = jax.jit(apply, compiler_options=QUICK)(variables, x)
  return {block: channels_first(y) for block, y in endpoints.items()}


def twin(name, arrays, x):
  """The endpoints of the exported encoder, loaded strictly by its own names."""
  like = weights.template(name, "batch", 64)
  layout = layouts.detect(arrays, like, name)
  variables = layouts.from_torch(arrays, like, layout, "batch")
  own = layouts.to_torch(variables, layouts.of(name)[0])
  encoder = encoders.ENCODERS[name](norm="batch").eval()
  encoder.load_state_dict({k: torch.from_numpy(v) for k, v in own.items()})
  with torch.no_grad():
    return encoder(channels_first(x))


def assert_equal(got, want):
  assert got.keys() == want.keys()
  for block, y in want.items():
    assert got[block].shape == y.shape
    assert (got[block] - y).norm() < 1e-4 * y.norm(), block


def test_s3d_is_torchvisions():
  """At each block's end, of even sizes and odd ones."""
  network = published_networks.torchvision_video().s3d().eval()
  published_networks.randomise(network)
  arrays = {
    name: array.numpy()
    for name, array in network.state_dict().items()
    if not layouts.CLASSIFIER.match(name)
  }
  x = clip((1, 7, 34, 37, 3))
  want, y = {}, channels_first(x)
  with torch.no_grad():
    for number, layer in enumerate(network.features):
      y = layer(y)
      pools = isinstance(layer, torch.nn.MaxPool3d)
      if not pools:
        want[f"block{sum(n < number for n in (1, 4, 7, 13)) + 1}"] = y
  assert_equal(twin("s3d", arrays, x), want)
  assert_equal(ours("s3d", arrays, x), want)
  params = sum(p.numel() for p in network.features.parameters())
  like = weights.template("s3d", "batch", 64)["params"]
  assert params == sum(leaf.size for leaf in jax.tree.leaves(like))


@pytest.fixture(scope="module")
def i3d_arrays():
  """Weights by the names of pytorch-i3d."""
  variables = weights.plausible(weights.template("i3d", "batch", 64))
  return layouts.to_torch(variables, weights.layout_of("piergiaj", "i3d"))


@pytest.mark.parametrize("shape", [(1, 7, 37, 34, 3), (1, 16, 32, 33, 3)])
def test_i3d_twin_is_the_published(shape, i3d_arrays):
  """Of odd sizes too, at which TensorFlow pads both ends alike."""
  assert_equal(
    twin("i3d", i3d_arrays, clip(shape)), published_i3d(i3d_arrays, clip(shape))
  )


def published_i3d(arrays, x):
  tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
  found = published_networks.i3d(tensors, channels_first(x))
  blocks = published_networks.I3D_BLOCKS
  return {block: found[name] for block, name in blocks.items()}


def test_i3d_is_the_published(i3d_arrays):
  x = clip((1, 7, 37, 34, 3))
  assert_equal(ours("i3d", i3d_arrays, x), published_i3d(i3d_arrays, x))


@pytest.mark.parametrize(
  ("name", "norm"), [("s3d", "group"), ("i3d", "instance")]
)
def test_narrow_twins(name, norm):
  """Names, shapes and epsilons of what `export` writes of other networks."""
  backbone = weights.backbone(name, norm, 12, epsilon=1e-4)
  like = weights.template(name, norm, 12, epsilon=1e-4)
  arrays = layouts.to_torch(weights.fill(like), layouts.of(name)[0])
  options = backbone.architecture()
  with torch.device("meta"):
    encoder = encoders.ENCODERS[options.pop("name")](**options)
  found = {name: tuple(t.shape) for name, t in encoder.state_dict().items()}
  assert found == {name: array.shape for name, array in arrays.items()}
  norms = [m for m in encoder.modules() if hasattr(m, "eps")]
  assert norms and all(module.eps == 1e-4 for module in norms)
