"""HD-NCE against float64 NumPy, and Table 1's rows as config changes."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax.errors import ConfigError
from hdc_jax.methods import augmentations, hdc
from hdc_jax.methods.network import Network
from tests import small

BATCH, CHANNELS = 5, 6
POSITIONS = {"block3": 4, "block4": 2, "block5": 1}


class Recorded(nn.Module):
  """A backbone whose endpoints are parameters, so that gradients reach them."""

  views: int

  @nn.compact
  def __call__(self, clips, train=False):
    return {
      name: self.param(
        name,
        nn.initializers.normal(1.0),
        (BATCH * self.views, positions, 3, 2, CHANNELS),
      )
      for name, positions in POSITIONS.items()
    }


def make(**changes):
  """The method with other options."""
  return hdc.HDC(**changes).make(augmentations.Family(), 112)


def reference(endpoints, heads, weights, temperature):
  """Eqs. 4-6 in float64.

  Args:
    endpoints: block → [B, 3, T, H, W, C], views in the order o, s, t.
    heads: '<view>_<block>' → kernel and bias of g.
    weights: block → α = β.
    temperature: τ.

  Returns:
    The loss, and what each term gives.
  """

  def project(view, block, pooled):
    head = heads[f"{view}_{block}"]["Dense_0"]
    x = pooled @ np.float64(head["kernel"]) + np.float64(head["bias"])
    return x / np.linalg.norm(x, axis=-1, keepdims=True)

  def nce(anchors, keys):
    total = 0.0
    for i in range(BATCH):
      scores = np.exp([anchors[i] @ key / temperature for key in keys])
      total -= np.log(scores[i] / scores.sum())
    return total / BATCH

  loss, terms = 0.0, {}
  for block, features in endpoints.items():
    o, s, t = np.moveaxis(np.float64(features), 1, 0)
    frames = range(o.shape[1])
    spatial = np.mean(
      [
        nce(
          project("o", block, o[:, n].mean(axis=(1, 2))),
          project("s", block, s[:, n].mean(axis=(1, 2))),
        )
        for n in frames
      ]
    )
    temporal = nce(
      project("o", block, o.mean(axis=(1, 2, 3))),
      project("t", block, t.mean(axis=(1, 2, 3))),
    )
    loss += weights[block] * (spatial + temporal)
    number = block.removeprefix("block")
    terms |= {f"spatial{number}": spatial, f"temporal{number}": temporal}
  return loss, terms


@pytest.fixture(scope="module")
def recorded():
  """The six terms on recorded endpoints: a loss function and its parameters."""
  method = make()
  network = Network(Recorded(len(method.views)), method)
  views = jnp.zeros((BATCH, len(method.views), 1, 1, 1, 3))
  params = network.init(jax.random.key(0), views)["params"]
  # Biases that are zero would hide whether they are used.
  params = jax.tree.map(
    lambda x: x + 0.1 * jax.random.normal(jax.random.key(x.size), x.shape),
    params,
  )
  return lambda p: method.loss(network.apply({"params": p}, views)), params


def split(params):
  """Endpoints as [B, V, ...], and heads, of the recorded network."""
  endpoints = {
    name: np.asarray(params["backbone"][name]).reshape(
      BATCH, 3, *params["backbone"][name].shape[1:]
    )
    for name in POSITIONS
  }
  return endpoints, {k: v for k, v in params.items() if k != "backbone"}


WEIGHTS = {"block3": 0.25, "block4": 0.5, "block5": 1.0}


@pytest.mark.slow
def test_value(recorded):
  loss_fn, params = recorded
  loss, metrics = jax.jit(loss_fn)(params)
  want, terms = reference(*split(params), WEIGHTS, 0.07)
  np.testing.assert_allclose(loss, want, rtol=1e-5)
  got = {k: v for k, v in metrics.items() if k.startswith("loss/")}
  chex.assert_trees_all_close(
    got, {f"loss/{k}": np.float32(v) for k, v in terms.items()}, rtol=1e-4
  )


def test_gradients(recorded):
  """Against central differences of the float64 reference."""
  loss_fn, params = recorded
  grads = jax.jit(jax.grad(lambda p: loss_fn(p)[0]))(params)
  rng = np.random.default_rng(0)
  leaves = jax.tree_util.tree_flatten_with_path(params)[0]
  for path, leaf in leaves:
    index = tuple(rng.integers(leaf.shape))
    step = 1e-5

    def at(delta, path=path, index=index):
      moved = jax.tree_util.tree_map_with_path(
        lambda p, x: _moved(x, index, delta) if p == path else np.float64(x),
        params,
      )
      return reference(*split(moved), WEIGHTS, 0.07)[0]

    want = (at(step) - at(-step)) / (2 * step)
    got = grads
    for key in path:
      got = got[key.key]
    np.testing.assert_allclose(got[index], want, rtol=1e-3, atol=1e-5)


def _moved(x, index, delta):
  x = np.array(x, np.float64)
  x[index] += delta
  return x


def test_o_has_one_head_for_both_contrasts(recorded):
  _, params = recorded
  assert set(params) - {"backbone"} == {
    f"{view}_{block}" for view in "ost" for block in POSITIONS
  }


@pytest.mark.parametrize(
  ("changes", "terms", "views"),
  [
    (
      {"contrasts": ("spatial",), "blocks": (5,), "weights": (1.0,)},
      {"spatial5": 1.0},
      "os",
    ),
    (
      {"contrasts": ("temporal",), "blocks": (5,), "weights": (1.0,)},
      {"temporal5": 1.0},
      "ot",
    ),
    (
      {"blocks": (5,), "weights": (1.0,)},
      {"spatial5": 1.0, "temporal5": 1.0},
      "ost",
    ),
    (
      {"blocks": (4, 5), "weights": (0.5, 1.0)},
      {"spatial4": 0.5, "temporal4": 0.5, "spatial5": 1.0, "temporal5": 1.0},
      "ost",
    ),
  ],
)
def test_rows_of_table_1(changes, terms, views):
  method = make(**changes)
  assert {t.name: t.weight for t in method.terms} == terms
  assert "".join(view.name for view in method.views) == views
  assert method.starts.clips == (2 if "t" in views else 1)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"contrasts": ("space",)}, "is not one of spatial, temporal"),
    ({"weights": (1.0,)}, "one weight for each"),
    ({"contrasts": ()}, "config.method.contrasts is not set: name spa"),
    ({"blocks": (6, 5, 4)}, "must be at most 5"),
    ({"temperature": 0.0}, "config.method.temperature=0.0 must be above 0"),
  ],
)
def test_bad_configs(changes, message):
  with pytest.raises(ConfigError, match=message):
    make(**changes)


def test_unknown_names_list_the_methods():
  message = "config.method.name: 'hdcc' is not one of hdc, cvrl, dsm"
  with pytest.raises(ConfigError, match=message):
    small.config(method="hdcc")
