"""Every normalisation against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax.models import norm

SHAPE = (3, 4, 5, 6, 8)


def standardised(x, axes):
  mean = x.mean(axes, keepdims=True)
  return (x - mean) / np.sqrt(x.var(axes, keepdims=True) + norm.EPSILON)


def groups(x, count):
  """Per clip and group of adjacent channels."""
  parts = x.reshape(*x.shape[:-1], count, -1)
  return standardised(parts, (1, 2, 3, 5)).reshape(x.shape)


WANTED = {
  "instance": lambda x: standardised(x, (1, 2, 3)),
  "batch": lambda x: standardised(x, (0, 1, 2, 3)),
  "group": lambda x: groups(x, 8),
}


def apply(name, x, train, dtype=jnp.float32):
  """Of random scales and biases; returns them too, and what it updates."""
  module = norm.make_norm(name, dtype, train)()
  variables = module.init(jax.random.key(0), jnp.zeros(x.shape))
  keys = iter(jax.random.split(jax.random.key(1), 9))
  variables = jax.tree.map(
    lambda v: jax.random.uniform(next(keys), v.shape, minval=0.5), variables
  )
  y, updated = module.apply(variables, x, mutable=["batch_stats"])
  return y, variables, updated


@pytest.mark.parametrize("name", norm.NORMS)
def test_values(name):
  x = np.random.default_rng(0).normal(2.0, 3.0, SHAPE)
  y, variables, _ = apply(name, jnp.float32(x), train=True)
  params = variables["params"]
  want = WANTED[name](x) * params["scale"] + params["bias"]
  np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)


def padded(x):
  """Activations whose borders are unlike the others, as padding makes them."""
  x[:, :, 0] *= 0.5
  x[:, :, :, -1] *= 0.5
  return x


@pytest.mark.parametrize("name", ["instance", "group"])
@pytest.mark.parametrize("change", [np.array, padded], ids=["plain", "padded"])
def test_a_large_mean_costs_no_digits(name, change):
  """A mean of 1,000 standard deviations; forward and backward."""
  rng = np.random.default_rng(0)
  x = np.float32(change(rng.normal(1000.0, 1.0, SHAPE)))
  weights = rng.normal(size=SHAPE)
  module = norm.make_norm(name, jnp.float32, train=True)()
  variables = module.init(jax.random.key(0), jnp.zeros(SHAPE))

  def loss(x):
    y = module.apply(variables, x)
    return jnp.sum(y * jnp.float32(weights)), y

  (_, y), gradient = jax.value_and_grad(loss, has_aux=True)(x)
  want = WANTED[name](np.float64(x))
  np.testing.assert_allclose(y, want, rtol=0, atol=4e-4)
  # By differences of float64, in a random direction.
  way = rng.normal(size=SHAPE)
  up, down = (
    np.sum(WANTED[name](np.float64(x) + step * way) * weights)
    for step in (1e-4, -1e-4)
  )
  along = np.sum(np.float64(gradient) * way)
  np.testing.assert_allclose(along, (up - down) / 2e-4, rtol=2e-3, atol=2e-3)


def test_batch_norm_keeps_running_means():
  x = np.random.default_rng(0).normal(2.0, 3.0, SHAPE).astype(np.float32)
  y, before, after = apply("batch", x, train=True)
  axes = (0, 1, 2, 3)
  for name, now in (("mean", x.mean(axes)), ("var", x.var(axes))):
    want = 0.9 * before["batch_stats"][name] + 0.1 * now
    np.testing.assert_allclose(after["batch_stats"][name], want, rtol=1e-4)
  evaluated, variables, after = apply("batch", x, train=False)
  assert not np.allclose(y, evaluated)
  stats = variables["batch_stats"]
  want = (x - stats["mean"]) / np.sqrt(stats["var"] + norm.EPSILON)
  want = want * variables["params"]["scale"] + variables["params"]["bias"]
  np.testing.assert_allclose(evaluated, want, rtol=1e-4, atol=1e-4)
  for name, kept in (after.get("batch_stats") or stats).items():
    np.testing.assert_array_equal(kept, stats[name])


@pytest.mark.parametrize("name", norm.NORMS)
def test_another_epsilon(name, monkeypatch):
  """That of TensorFlow, beside a variance of 0.01."""
  x = np.random.default_rng(0).normal(0.0, 0.1, SHAPE)
  module = norm.make_norm(name, jnp.float32, True, epsilon=1e-3)()
  monkeypatch.setattr(norm, "EPSILON", 1e-3)
  y, _ = module.init_with_output(jax.random.key(0), jnp.float32(x))
  np.testing.assert_allclose(y, WANTED[name](x), rtol=1e-4, atol=1e-5)


def test_groups_divide_any_number_of_channels():
  """R(2+1)D's stem has 83 in the middle, which make one group."""
  x = np.random.default_rng(0).normal(size=(2, 2, 3, 3, 83))
  y, variables, _ = apply("group", jnp.float32(x), train=False)
  params = variables["params"]
  want = groups(x, 1) * params["scale"] + params["bias"]
  np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", norm.NORMS)
def test_statistics_are_float32(name):
  """Values of 3 and 3.125, whose squares bfloat16 cannot tell well enough."""
  ones = np.random.default_rng(0).integers(2, size=SHAPE)
  x = jnp.asarray(3 + ones / 8, jnp.bfloat16)
  y, *_ = apply(name, x, train=True, dtype=jnp.bfloat16)
  exact, *_ = apply(name, x.astype(jnp.float32), train=True)
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(np.float32(y), exact, rtol=2e-2, atol=2e-2)
