"""Our networks against PyTorch modules written from the published layouts."""

import ast
import functools
import pathlib
import re
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from hdc_jax import models
from hdc_jax.convert import command as convert
from hdc_jax.convert import encoder as encoder_lib
from hdc_jax.convert import layouts
from hdc_jax.evaluate import pretrained
from hdc_jax.interop import encoders
from tests import weights

WIDTH = 8
TORCHVISION = {"stem": (3, 7, 7), "stem_pool": False, "shortcut": "B"}

CASES = [
  ("c3d", "instance", {}),
  ("c3d", "group", {}),
  ("r2plus1d10", "batch", {}),
  ("r3d18", "instance", {}),
  ("r3d18", "batch", {"shortcut": "B"}),
  ("r3d50", "batch", {}),
]
MORE_CASES = [
  ("c3d", "batch", {}),
  ("r2plus1d10", "instance", {}),
  ("r3d18", "batch", TORCHVISION),
  ("r3d34", "instance", {}),
  ("r3d50", "instance", {"shortcut": "A"}),
]


def cases(networks):
  return pytest.mark.parametrize(
    ("name", "norm", "options"), networks, ids=lambda v: str(v).replace("'", "")
  )


@functools.cache
def _random_variables(name, norm, width, options):
  return weights.plausible(weights.template(name, norm, width, **dict(options)))


def random_variables(name, norm, options, width=WIDTH):
  """Plausible weights, with nothing at the value that it begins with."""
  return _random_variables(name, norm, width, tuple(options.items()))


def clips(shape=(2, 8, 48, 48, 3)):
  """Waves and noise, in [-1, 1]."""
  noise = np.random.default_rng(1).standard_normal(shape)
  waves = np.sin(np.indices(shape).sum(0) / 5)
  return np.clip(0.5 * waves + 0.3 * noise, -1, 1).astype("f4")


def channels_first(x):
  return np.moveaxis(np.asarray(x, np.float32), -1, 1).copy()


def make_encoder(name, norm, options, variables, width=WIDTH):
  encoder = encoders.ENCODERS[name](width=width, norm=norm, **options)
  arrays = layouts.to_torch(variables, layouts.of(name)[0])
  encoder.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})
  return encoder.eval()


def our_endpoints(backbone, variables, x):
  apply = jax.jit(functools.partial(backbone.make().apply, train=False))
  return {b: channels_first(v) for b, v in apply(variables, x).items()}


def their_endpoints(encoder, x, dtype=torch.float32):
  with torch.no_grad():
    endpoints = encoder.to(dtype)(torch.from_numpy(channels_first(x)).to(dtype))
  return {block: value.float().numpy() for block, value in endpoints.items()}


def relative(got, want):
  """Norm of the difference by norm."""
  assert got.shape == want.shape
  return np.linalg.norm(got - want) / np.linalg.norm(want)


def errors(got, want):
  """Of each endpoint."""
  assert got.keys() == want.keys()
  return {block: relative(got[block], want[block]) for block in want}


@cases(CASES + MORE_CASES)
def test_endpoints(name, norm, options):
  variables = random_variables(name, norm, options)
  backbone = weights.backbone(name, norm, WIDTH, **options)
  ours = our_endpoints(backbone, variables, clips())
  encoder = make_encoder(name, norm, options, variables)
  theirs = their_endpoints(encoder, clips())
  assert max(errors(ours, theirs).values()) < 1e-4


@cases(CASES + MORE_CASES)
def test_endpoints_in_bfloat16(name, norm, options):
  """Off by 2 %, or by no more than twice what PyTorch's own bfloat16 is."""
  variables = random_variables(name, norm, options)
  backbone = weights.backbone(name, norm, WIDTH, dtype="bfloat16", **options)
  ours = our_endpoints(backbone, variables, clips())
  encoder = make_encoder(name, norm, options, variables)
  exact = their_endpoints(encoder, clips())
  rounded = errors(their_endpoints(encoder, clips(), torch.bfloat16), exact)
  for block, error in errors(ours, exact).items():
    assert error < max(2e-2, 2 * rounded[block]), block


def test_full_width():
  variables = random_variables("r3d18", "instance", {}, 64)
  x = clips((1, 16, 112, 112, 3))
  ours = our_endpoints(weights.backbone("r3d18", "instance", 64), variables, x)
  encoder = make_encoder("r3d18", "instance", {}, variables, 64)
  assert max(errors(ours, their_endpoints(encoder, x)).values()) < 1e-4


@cases(CASES)
def test_gradients(name, norm, options, monkeypatch):
  """Of every weight and of the clips.

  With something smooth for ReLU: at its kink, rounding decides about gradients.
  """
  monkeypatch.setattr(torch.nn.functional, "relu", torch.nn.functional.softplus)
  monkeypatch.setattr(nn, "relu", nn.softplus)
  variables = random_variables(name, norm, options)
  encoder = make_encoder(name, norm, options, variables)
  x = torch.from_numpy(channels_first(clips())).requires_grad_()
  endpoints = encoder(x)
  rng = np.random.default_rng(2)
  cotangents = {
    block: rng.standard_normal(value.shape, np.float32) / value.numel() ** 0.5
    for block, value in endpoints.items()
  }
  sum(
    torch.sum(value * torch.from_numpy(cotangents[block]))
    for block, value in endpoints.items()
  ).backward()
  theirs = {"clips": x.grad.numpy()}
  theirs |= {n: p.grad.numpy() for n, p in encoder.named_parameters()}

  backbone = weights.backbone(name, norm, WIDTH, **options)
  module = backbone.make()

  @jax.jit
  @functools.partial(jax.grad, argnums=(0, 1))
  def grad_fn(params, x):
    endpoints = module.apply(variables | {"params": params}, x, train=False)
    return sum(
      jnp.vdot(jnp.moveaxis(value, -1, 1), cotangents[block])
      for block, value in endpoints.items()
    )

  params, x = grad_fn(variables["params"], clips())
  ours = layouts.to_torch({"params": params}, layouts.of(name)[0])
  ours["clips"] = channels_first(x)

  # Some are zero but for rounding: of biases that a later norm takes away.
  rounding = 1e-6 * np.linalg.norm([np.linalg.norm(g) for g in theirs.values()])
  for weight, want in theirs.items():
    if name == "c3d" and re.fullmatch(r"conv.*\.bias", weight):
      continue  # ours has none
    difference = np.linalg.norm(ours[weight] - want)
    assert difference < 5e-4 * np.linalg.norm(want) + rounding, weight


# Networks that take long to trace.
DEEP = {"r3d101", "r3d152"}


@pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=[pytest.mark.slow] if name in DEEP else [])
    for name in encoders.ENCODERS
  ],
)
def test_size_and_shapes(name):
  """At full width, computing nothing; in millions as published."""
  assert encoders.ENCODERS.keys() == models.BACKBONES.keys()
  backbone = weights.backbone(name, "batch", 64).make()
  variables = weights.template(name, "batch", 64)
  params = jax.tree.leaves(variables["params"])
  count = sum(leaf.size for leaf in params)
  with torch.device("meta"):
    encoder = encoders.ENCODERS[name](norm="batch")
    theirs = encoder(torch.empty(2, 3, 16, 112, 112))
  biases = sum(
    module.bias.numel()
    for module in encoder.modules()
    if isinstance(module, torch.nn.Conv3d) and module.bias is not None
  )
  assert count == sum(p.numel() for p in encoder.parameters()) - biases
  millions = {
    "c3d": 27.7,
    "i3d": 12.3,
    "r2plus1d10": 14.4,
    "r2plus1d18": 31.3,
    "r3d101": 85.2,
    "r3d152": 117.4,
    "r3d18": 33.0,
    "r3d34": 63.3,
    "r3d50": 31.7,
    "s3d": 7.9,
    "slowonly50": 31.6,
  }
  assert round(count / 1e6, 1) == millions[name]

  ours = jax.eval_shape(
    functools.partial(backbone.apply, train=False),
    variables,
    jax.ShapeDtypeStruct((2, 16, 112, 112, 3), jnp.float32),
  )
  assert {
    block: (x.shape[0], x.shape[-1], *x.shape[1:-1])
    for block, x in ours.items()
  } == {block: tuple(x.shape) for block, x in theirs.items()}


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_biases_of_c3d(norm):
  """Imported, they are folded into the norms, and the function is the same."""
  torch.manual_seed(0)
  encoder = encoders.ENCODERS["c3d"](width=WIDTH, norm=norm).eval()
  for weight, value in encoder.state_dict().items():
    if weight.endswith(("bias", "running_mean")):
      value.normal_()
  arrays = {k: v.numpy() for k, v in encoder.state_dict().items()}
  like = weights.template("c3d", norm, WIDTH)
  (layout,) = layouts.of("c3d")
  variables = layouts.from_torch(arrays, like, layout, norm)
  ours = our_endpoints(weights.backbone("c3d", norm, WIDTH), variables, clips())
  theirs = their_endpoints(encoder, clips())
  assert max(errors(ours, theirs).values()) < 1e-4


@pytest.mark.parametrize(
  ("name", "norm", "options"),
  [
    ("r3d50", "batch", {"shortcut": "A", "stem": (3, 5, 5)}),
    ("c3d", "group", {}),
  ],
)
def test_load(name, norm, options, tmp_path, monkeypatch):
  """What `export` writes, by the lines of a user."""
  variables = random_variables(name, norm, options)
  backbone = weights.backbone(name, norm, WIDTH, **options)
  loaded = pretrained.Pretrained("run", 0, {"data": {}}, backbone, variables)
  monkeypatch.setattr(encoder_lib, "load", lambda _: loaded)
  path = tmp_path / "encoder.safetensors"
  assert convert.main(["export", "--checkpoint=run", f"--output={path}"]) == 0
  encoder = encoders.load(path)
  assert not encoder.training
  ours = our_endpoints(backbone, variables, clips())
  assert max(errors(ours, their_endpoints(encoder, clips())).values()) < 1e-4


def test_load_of_another_file(tmp_path):
  path = tmp_path / "other.safetensors"
  save_file({"x": np.zeros(1)}, path)
  with pytest.raises(ValueError, match="does not say which encoder"):
    encoders.load(path)


def test_stands_alone():
  """The file may be copied: it needs torch and safetensors only."""
  tree = ast.parse(pathlib.Path(encoders.__file__).read_text())
  tops = set()
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      tops |= {alias.name.split(".")[0] for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      tops.add(node.module.split(".")[0])
  assert tops - sys.stdlib_module_names == {"torch", "safetensors"}
