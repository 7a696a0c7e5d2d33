"""Every backbone: its docstring's table, and what all have in common."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax import models
from hdc_jax.errors import ConfigError
from hdc_jax.models import c3d, r2plus1d, r3d, residual
from tests import small as configs
from tests import weights

MODULES = {"c3d": c3d, "r2plus1d10": r2plus1d, "r3d18": r3d, "r3d50": r3d}
# More networks of the same modules, of which only shapes and sizes are checked
# here; their values are compared with PyTorch.
DEEPER = {"r2plus1d18": r2plus1d, "r3d101": r3d, "slowonly50": r3d}
NORMS = ("instance", "batch", "group")


def make(name="r3d18", **changes):
  """A backbone by name, with options changed."""
  return models.BACKBONES[name](**changes).make()


def block_of(name):
  """The block that a module of a backbone belongs to."""
  if name.startswith("stem"):
    return "block1"
  number = re.match(r"(?:block|conv|norm)(\d)", name)[1]
  return f"block{number}"


def shapes_and_counts(model, clip):
  """Endpoints' shapes, and the parameters up to each."""
  endpoints, variables = jax.eval_shape(
    lambda: model.init_with_output(jax.random.key(0), jnp.zeros((2, *clip, 3)))
  )
  counts = dict.fromkeys(endpoints, 0)
  for name, params in variables["params"].items():
    size = sum(p.size for p in jax.tree.leaves(params))
    counts[block_of(name)] += size
  totals = np.cumsum([counts[name] for name in endpoints]).tolist()
  return [e.shape[1:] for e in endpoints.values()], totals


def stated(name):
  """The table of a backbone in the docstring of its module."""
  doc = (MODULES | DEEPER)[name].__doc__
  rows = doc[doc.index(f"| {name} ") :].split("\n\n")[0].splitlines()[2:]
  cells = [[cell.strip() for cell in row.split("|")[2:-1]] for row in rows]
  shapes = [
    [tuple(map(int, row[i].split("×"))) for row in cells] for i in (0, 1)
  ]
  counts = [
    [int(n.replace(",", "")) for n in row[2].split("/")] for row in cells
  ]
  return *shapes, np.transpose(counts).tolist()


@pytest.mark.parametrize("name", MODULES | DEEPER)
def test_table_in_the_docstring(name):
  small, large, counts = stated(name)
  assert shapes_and_counts(make(name=name), (32, 224, 224))[0] == large
  for shortcut, want in zip(("A", "B"), counts, strict=False):
    options = {"shortcut": shortcut} if len(counts) > 1 else {}
    got = shapes_and_counts(make(name=name, **options), (16, 112, 112))
    assert got == (small, want)


def test_published_sizes():
  """C3D and R(2+1)D in video clip order prediction, R3D-50 in CVRL."""
  millions = {"c3d": 27.7, "r2plus1d10": 14.4, "r3d18": 33.0, "r3d50": 31.7}
  for name, want in millions.items():
    _, totals = shapes_and_counts(make(name=name), (16, 112, 112))
    assert round(totals[-1] / 1e6, 1) == want


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_r3d34(shortcut):
  shapes, totals = shapes_and_counts(
    make(name="r3d34", shortcut=shortcut), (16, 112, 112)
  )
  assert shapes == stated("r3d18")[0]
  assert f"{totals[-1]:,}" in r3d.__doc__


def conv_norm(taps, inputs, outputs):
  """Parameters of a convolution without bias and its norm's scale and bias."""
  return taps * inputs * outputs + 2 * outputs


def test_r3d18_by_hand():
  """From the layout of the paper alone, shortcut B."""
  want = [conv_norm(343, 3, 64), 4 * conv_norm(27, 64, 64)]
  for width in (128, 256, 512):
    convolutions = conv_norm(27, width // 2, width)
    convolutions += 3 * conv_norm(27, width, width)
    want.append(convolutions + conv_norm(1, width // 2, width))
  _, totals = shapes_and_counts(make(shortcut="B"), (16, 112, 112))
  assert totals == np.cumsum(want).tolist()


def bottlenecks(depths, stem, kernels):
  """Parameters of a network of bottlenecks with projections.

  Args:
    depths: Number of blocks of each stage.
    stem: Taps of the stem.
    kernels: For each stage the taps of the three convolutions of a block.
  """
  total, inputs = conv_norm(stem, 3, 64), 64
  widths = (64, 128, 256, 512)
  for depth, taps, width in zip(depths, kernels, widths, strict=True):
    outputs = 4 * width
    total += conv_norm(1, inputs, outputs)
    for _ in range(depth):
      for tap, shape in zip(
        taps, ((inputs, width), (width, width), (width, outputs)), strict=True
      ):
        total += conv_norm(tap, *shape)
      inputs = outputs
  return total


HARA = {"stem": 343, "kernels": ((1, 27, 1),) * 4}
CVRL = {"stem": 245, "kernels": ((1, 9, 1),) * 2 + ((3, 9, 1),) * 2}


@pytest.mark.parametrize(
  ("name", "depths", "own", "kinds"),
  [
    ("r3d50", (3, 4, 6, 3), "cvrl", {"cvrl": CVRL, "hara": HARA}),
    ("r3d101", (3, 4, 23, 3), "hara", {"cvrl": CVRL, "hara": HARA}),
    ("r3d152", (3, 8, 36, 3), "hara", {"cvrl": CVRL, "hara": HARA}),
    ("slowonly50", (3, 4, 6, 3), "slow", {"slow": CVRL | {"stem": 49}}),
  ],
)
def test_bottlenecks_by_hand(name, depths, own, kinds):
  """Counts in the docstring, from the layouts of the papers alone."""
  assert make(name=name).stage_sizes == depths
  for kind, published in kinds.items():
    assert f"{bottlenecks(depths, **published):,}" in r3d.__doc__
    if len(kinds) > 1:
      same = make(name=name) == make(name=name, design=kind)
      assert same == (kind == own)


def test_published_classifiers_aside():
  """The counts that torchvision and PyTorchVideo state, of 400 classes."""
  published = {
    "r2plus1d18": (31_505_325, 512),
    "slowonly50": (32_454_096, 2048),
  }
  for name, (total, features) in published.items():
    _, _, (counts,) = stated(name)
    assert counts[-1] == total - 400 * (features + 1)


def test_r2plus1d_middle_channels():
  """floor(t·h·w·in·out / (h·w·in + t·out)), 83 in the stem."""
  variables = jax.eval_shape(
    lambda: make(name="r2plus1d10").init(
      jax.random.key(0), jnp.zeros((1, 8, 32, 32, 3))
    )
  )["params"]
  middles = {
    ("stem_conv",): 83,
    ("block2_0", "conv1"): 144,
    ("block3_0", "conv0"): 42,
    ("block3_0", "conv1"): 230,
    ("block3_0", "conv2"): 288,
    ("block5_0", "conv1"): 921,
  }
  for path, want in middles.items():
    module = variables
    for name in path:
      module = module[name]
    assert module["spatial"]["kernel"].shape[-1] == want
    assert module["temporal"]["kernel"].shape[-2] == want


@pytest.fixture(scope="module", params=[*MODULES, "r3d34"])
def small(request):
  """A narrow backbone with its variables and an apply function."""
  model = make(name=request.param, width=4, dtype="float32")
  x = np.random.default_rng(0).standard_normal((3, 8, 36, 36, 3), np.float32)
  x = np.stack([clip**power for power, clip in enumerate(x, start=1)])
  shapes = jax.eval_shape(model.init, jax.random.key(0), x)
  variables = weights.plausible(shapes)  # init takes long to compile
  return variables, jax.jit(model.apply), x


@pytest.mark.slow
def test_clips_do_not_see_each_other(small):
  """Instance norm: a clip's features do not depend on its batch."""
  variables, apply, x = small
  changed = x * np.float32(np.arange(3) == 0)[:, None, None, None, None]
  first, second = apply(variables, x), apply(variables, changed)
  for name in first:
    np.testing.assert_allclose(
      first[name][0], second[name][0], rtol=1e-4, atol=1e-5
    )
    assert not np.allclose(first[name][1], second[name][1])


def test_norm_comes_before_the_relu(small):
  """Else the average-pooled first block would be the same for every clip."""
  variables, apply, x = small
  pooled = np.mean(apply(variables, x)["block1"], axis=(1, 2, 3))
  assert np.min(pooled) >= 0.0
  assert np.std(pooled, axis=0).max() > 1e-3


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", MODULES)
def test_bfloat16_activations_float32_variables(name, norm):
  model = make(name=name, norm=norm, width=4, dtype="bfloat16")
  x = jnp.zeros((1, 8, 24, 24, 3))
  endpoints, variables = jax.eval_shape(
    lambda: model.init_with_output(jax.random.key(0), x)
  )
  assert {e.dtype for e in endpoints.values()} == {jnp.dtype("bfloat16")}
  leaves = jax.tree.leaves(variables)
  assert {p.dtype for p in leaves} == {jnp.dtype("float32")}
  assert ("batch_stats" in variables) == (norm == "batch")


def test_r2plus1d18_middle_channels():
  """Torchvision's: 45 in the stem, those of the first convolution in both."""
  variables = weights.template("r2plus1d18", width=64)["params"]
  middles = {
    "block2_0": 144,
    "block3_0": 230,
    "block3_1": 288,
    "block4_0": 460,
    "block5_0": 921,
    "block5_1": 1152,
  }
  assert variables["stem_conv"]["spatial"]["kernel"].shape[-1] == 45
  for block, want in middles.items():
    for name in ("conv1", "conv2"):
      assert variables[block][name]["spatial"]["kernel"].shape[-1] == want
  assert variables["block3_0"]["conv0"]["kernel"].shape == (1, 1, 1, 64, 128)


def test_shortcut_a_subsamples_and_pads():
  x = jax.random.normal(jax.random.key(0), (2, 4, 5, 6, 3))
  y = residual.subsample_and_pad(x, 5, (2, 2, 2))
  np.testing.assert_array_equal(y[..., :3], x[:, ::2, ::2, ::2])
  np.testing.assert_array_equal(y[..., 3:], 0.0)


def test_without_the_pool_after_the_stem():
  shapes, _ = shapes_and_counts(make(stem_pool=False), (16, 112, 112))
  assert shapes[1] == (16, 56, 56, 64)


@pytest.mark.parametrize(
  ("field", "value"),
  [("shortcut", "C"), ("norm", "layer"), ("dtype", "f16"), ("name", "r3d19")],
)
def test_unknown_names_list_the_valid_ones(field, value):
  with pytest.raises(ConfigError, match=f"config.model.{field}.*is not one of"):
    configs.options(**{f"model__{field}": value})


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("width", 0, "must be at least 1"),
    ("width", -4, "must be at least 1"),
    ("size", 0, "must be at least 1"),
    ("stem", (1,), "must have 0 or 3 elements"),
    ("stem", (0, 7, 7), "must be at least 1"),
  ],
)
def test_sizes_that_no_network_has(field, value, message):
  with pytest.raises(ConfigError, match=f"config.model.{field}=.* {message}"):
    make(**{field: value})


@pytest.mark.parametrize(
  ("frames", "size", "message"),
  [
    (7, 16, "config.data.frames=7: too few for c3d, which needs at least 8"),
    (8, 15, "config.model.size=15: too few for c3d, which needs at least 16"),
  ],
)
def test_clips_that_are_pooled_to_nothing(frames, size, message):
  with pytest.raises(ConfigError, match=message):
    c3d.C3DOptions().check_clip(frames, size)
  c3d.C3DOptions().check_clip(8, 16)


def test_designs_are_of_bottlenecks():
  message = "config.model.design: 'slow' is not one of , hara, cvrl"
  with pytest.raises(ConfigError, match=message):
    make(name="r3d101", design="slow")
  with pytest.raises(ConfigError, match="'design' is not one of name"):
    configs.config(model__name="r3d34", model__design="hara")


@pytest.mark.parametrize(
  "name", ["c3d", "r2plus1d10", "r2plus1d18", "slowonly50"]
)
@pytest.mark.parametrize(
  ("field", "value"),
  [("stem", (3, 7, 7)), ("shortcut", "A"), ("stem_pool", False)],
)
def test_options_a_backbone_does_not_have(name, field, value):
  message = rf"config.model \(of {name}\): '{field}' is not one of name, width"
  with pytest.raises(ConfigError, match=message):
    configs.config(model__name=name, **{f"model__{field}": value})
