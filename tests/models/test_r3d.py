"""3D-ResNet18: shapes, counts and what its parts do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax import config as config_lib
from hdc_jax import models
from hdc_jax.errors import ConfigError
from hdc_jax.models import r3d


def make(**changes):
  """A backbone by name, with fields changed."""
  config = config_lib.default().model
  config.update(changes)
  return models.make_backbone(config)


def shapes_and_counts(model, *clip):
  """Endpoints' shapes, and parameters of the stem and of every block."""
  x = jax.ShapeDtypeStruct((2, *clip, 3), jnp.float32)
  endpoints, variables = jax.eval_shape(
    lambda: model.init_with_output(jax.random.key(0), jnp.zeros(x.shape))
  )
  counts = {}
  for name, params in variables["params"].items():
    block = "block1" if name.startswith("stem") else name.split("_")[0]
    size = sum(p.size for p in jax.tree.leaves(params))
    counts[block] = counts.get(block, 0) + size
  return {name: e.shape[1:] for name, e in endpoints.items()}, counts


@pytest.mark.parametrize(
  ("clip", "want"),
  [
    (
      (16, 112, 112),
      {
        "block1": (16, 56, 56, 64),
        "block2": (8, 28, 28, 64),
        "block3": (4, 14, 14, 128),
        "block4": (2, 7, 7, 256),
        "block5": (1, 4, 4, 512),
      },
    ),
    (
      (32, 224, 224),
      {
        "block1": (32, 112, 112, 64),
        "block2": (16, 56, 56, 64),
        "block3": (8, 28, 28, 128),
        "block4": (4, 14, 14, 256),
        "block5": (2, 7, 7, 512),
      },
    ),
  ],
)
def test_endpoints(clip, want):
  shapes, _ = shapes_and_counts(make(), *clip)
  assert shapes == want


def conv_norm(taps, inputs, outputs):
  """Parameters of a convolution without bias and its norm's scale and bias."""
  return taps * inputs * outputs + 2 * outputs


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_parameter_counts(shortcut):
  _, counts = shapes_and_counts(make(shortcut=shortcut), 16, 112, 112)
  want = {
    "block1": conv_norm(343, 3, 64),
    "block2": 4 * conv_norm(27, 64, 64),
  }
  for block, width in (("block3", 128), ("block4", 256), ("block5", 512)):
    want[block] = conv_norm(27, width // 2, width)
    want[block] += 3 * conv_norm(27, width, width)
    if shortcut == "B":
      want[block] += conv_norm(1, width // 2, width)
  assert counts == want
  # The docstring's table, which sums them up.
  totals = np.cumsum([counts[block] for block in sorted(counts)])
  column = "AB".index(shortcut)
  rows = [r for r in r3d.__doc__.splitlines() if r.startswith("| block")]
  stated = [
    int(row.split("|")[4].split("/")[column].replace(",", "")) for row in rows
  ]
  assert stated == totals.tolist()


@pytest.fixture(scope="module")
def small():
  """A narrow network with its parameters and an apply function."""
  model = make(width=4, stem=(3, 7, 7), dtype="float32")
  x = jax.random.normal(jax.random.key(1), (3, 8, 24, 24, 3))
  variables = jax.jit(model.init)(jax.random.key(0), x)
  return variables, jax.jit(model.apply), x


def test_clips_do_not_see_each_other(small):
  """Instance norm: a clip's features do not depend on its batch."""
  variables, apply, x = small
  changed = x.at[1:].set(0.0)
  first, second = apply(variables, x), apply(variables, changed)
  for name in first:
    np.testing.assert_allclose(
      first[name][0], second[name][0], rtol=1e-5, atol=1e-6
    )
    assert not np.allclose(first[name][1], second[name][1])


def test_norm_comes_before_the_relu(small):
  """Else the average-pooled stem would be the same for every clip."""
  variables, apply, x = small
  pooled = np.mean(apply(variables, x)["block1"], axis=(1, 2, 3))
  assert np.min(pooled) >= 0.0
  assert np.std(pooled, axis=0).max() > 1e-3


def test_bfloat16_activations_float32_parameters():
  model = make(width=4, dtype="bfloat16")
  x = jnp.zeros((1, 8, 24, 24, 3))
  endpoints, variables = jax.eval_shape(
    lambda: model.init_with_output(jax.random.key(0), x)
  )
  assert {e.dtype for e in endpoints.values()} == {jnp.dtype("bfloat16")}
  params = jax.tree.leaves(variables["params"])
  assert {p.dtype for p in params} == {jnp.dtype("float32")}


def test_shortcut_a_subsamples_and_pads():
  x = jax.random.normal(jax.random.key(0), (2, 4, 5, 6, 3))
  y = r3d.subsample_and_pad(x, 5, (2, 2, 2))
  np.testing.assert_array_equal(y[..., :3], x[:, ::2, ::2, ::2])
  np.testing.assert_array_equal(y[..., 3:], 0.0)


@pytest.mark.parametrize(
  ("field", "value"),
  [("name", "r3d19"), ("shortcut", "C"), ("norm", "layer"), ("dtype", "f16")],
)
def test_unknown_names_list_the_valid_ones(field, value):
  with pytest.raises(ConfigError, match=f"model.{field}.*is not one of"):
    make(**{field: value})
