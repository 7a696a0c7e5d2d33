"""R(2+1)D-18, R3D-101, R3D-152 and SlowOnly against public definitions.

Ours are compared with the encoders in PyTorch at reduced width, and these with
the networks that the public packages make, at full width.
"""

import functools
import importlib
import importlib.util

import jax
import numpy as np
import pytest
import torch

from hdc_jax.convert import layouts
from hdc_jax.interop import encoders
from tests import weights
from tests.interop import published_networks

WIDTH = 8
# Hardly optimised: a fraction of the time to compile, and the same values.
QUICK = {"xla_backend_optimization_level": 0}
CASES = [
  ("r2plus1d18", {}),
  ("r3d50", {"design": "hara"}),
  ("slowonly50", {}),
  pytest.param("r3d101", {}, marks=pytest.mark.slow),
  pytest.param("r3d152", {}, marks=pytest.mark.slow),
  pytest.param("r3d101", {"design": "cvrl"}, marks=pytest.mark.slow),
]


def clips(shape):
  """Waves and noise in [-1, 1], [B, T, H, W, 3]."""
  noise = np.random.default_rng(1).standard_normal(shape)
  waves = np.sin(np.indices(shape).sum(0) / 5)
  return np.clip(0.5 * waves + 0.3 * noise, -1, 1).astype("f4")


def channels_first(x):
  return torch.from_numpy(np.moveaxis(np.asarray(x), -1, 1).copy())


def tensors(arrays):
  return {name: torch.from_numpy(array) for name, array in arrays.items()}


def encoder_of(name, variables, width, **options):
  """The encoder in PyTorch with our variables."""
  made = encoders.ENCODERS[name](width=width, norm="batch", **options)
  own = layouts.to_torch(variables, layouts.of(name)[0])
  made.load_state_dict(tensors(own))
  return made.eval()


def assert_equal(got, want, bound=1e-4):
  assert got.keys() == want.keys()
  for block, y in want.items():
    assert got[block].shape == y.shape
    assert (got[block] - y).norm() <= bound * y.norm(), block


@pytest.mark.parametrize(("name", "options"), CASES)
def test_endpoints(name, options):
  like = weights.template(name, "batch", WIDTH, **options)
  variables, x = weights.plausible(like), clips((2, 5, 35, 32, 3))
  module = weights.backbone(name, "batch", WIDTH, **options).make()
  apply = functools.partial(module.apply, train=False)
  ours = jax.jit(apply, compiler_options=QUICK)(variables, x)
  encoder = encoder_of(name, variables, WIDTH, **options)
  with torch.no_grad():
    theirs = encoder(channels_first(x))
  assert_equal({b: channels_first(y) for b, y in ours.items()}, theirs)


def torchvision_r2plus1d():
  """The network of torchvision, and its modules by our endpoints."""
  network = published_networks.torchvision_video().r2plus1d_18()
  layers = ("stem", "layer1", "layer2", "layer3", "layer4")
  modules = {f"block{i}": getattr(network, n) for i, n in enumerate(layers, 1)}
  return network, modules


def pytorchvideo_slow():
  """The network of PyTorchVideo, without its head, and its modules."""
  published_networks.torchvision_video()  # which PyTorchVideo imports
  resnet = importlib.import_module("pytorchvideo.models.resnet")
  network = resnet.create_resnet(
    model_depth=50, stem_conv_kernel_size=(1, 7, 7), head=None
  )
  stem, *stages = network.blocks
  modules = {f"block{i}": stage for i, stage in enumerate(stages, start=2)}
  return network, {"block1": stem.activation} | modules


# PyTorchVideo compiles functions by TorchScript as it is imported.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize(
  ("name", "package", "make"),
  [
    ("r2plus1d18", "torchvision", torchvision_r2plus1d),
    ("slowonly50", "pytorchvideo", pytorchvideo_slow),
  ],
)
def test_encoders_are_those_of_packages(name, package, make):
  """At full width, by the default layout, of odd and even sizes."""
  if package != "torchvision":
    pytest.importorskip(package)
  network, modules = make()
  found = {}
  for block, module in modules.items():
    module.register_forward_hook(
      lambda _module, _args, y, block=block: found.update({block: y.clone()})
    )
  variables = weights.plausible(weights.template(name, "batch", 64))
  state = tensors(layouts.to_torch(variables, layouts.of(name)[0]))
  loaded = network.load_state_dict(state, strict=False)
  assert not loaded.unexpected_keys
  others = [k for k in loaded.missing_keys if not layouts.CLASSIFIER.match(k)]
  assert all(k.endswith("num_batches_tracked") for k in others)
  x = channels_first(clips((1, 5, 35, 32, 3)))
  with torch.no_grad():
    network.eval()(x)
    got = encoder_of(name, variables, 64)(x)
  assert_equal(got, found, bound=1e-5)
