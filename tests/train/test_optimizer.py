"""Optimizers and schedules, written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hdc_jax.errors import ConfigError
from hdc_jax.train import optimizer


def check_steps(tx, rate, direction):
  """Takes steps beside NumPy: v ← 0.9·v - rate(step)·direction, w ← w + v.

  Args:
    tx: The optimizer.
    rate: Of the step; the learning rate.
    direction: Of gradient, weights and the name of the parameter.
  """
  params = {
    "conv": {"kernel": jnp.array([1.0, -2.0])},
    "norm": {"scale": jnp.array([1.5]), "bias": jnp.array([0.5])},
  }
  state = tx.init(params)
  weights = jax.tree.map(np.float64, params)
  velocity = jax.tree.map(np.zeros_like, weights)
  rng = np.random.default_rng(0)
  update = jax.jit(tx.update)
  for step in range(6):
    grads = jax.tree.map(lambda w: rng.standard_normal(w.shape), weights)
    updates, state = update(jax.tree.map(jnp.float32, grads), state, params)
    params = optax.apply_updates(params, updates)
    for layer, names in weights.items():
      for name, weight in names.items():
        change = direction(grads[layer][name], weight, name)
        velocity[layer][name] = (
          0.9 * velocity[layer][name] - rate(step) * change
        )
        weights[layer][name] = weight + velocity[layer][name]
    jax.tree.map(
      lambda got, want: np.testing.assert_allclose(got, want, rtol=3e-6),
      params,
      weights,
    )


def test_is_keras_sgd():
  """V ← m·v - lr/(1 + decay·step)·(g + 2λ·w), w ← w + v; L2 on kernels only."""
  optim = optimizer.Optim(lr=0.3, decay=0.2, l2=0.01)
  check_steps(
    optim.make(steps=6),
    lambda step: 0.3 / (1 + 0.2 * step),
    lambda g, w, name: g + 2 * 0.01 * w * (name == "kernel"),
  )


@pytest.mark.parametrize("schedule", [False, True])
def test_sgd(schedule):
  """V ← m·v - lr·(g + λ·w); the decay on kernels only."""

  def rate(step):
    return 0.3 / (1 + step) if schedule else 0.3

  check_steps(
    optimizer.sgd(rate if schedule else 0.3, 0.9, 0.01),
    rate,
    lambda g, w, name: g + 0.01 * w * (name == "kernel"),
  )


def test_lars():
  """Each kernel's rate is η·|w| / |g + λ·w|; others have neither."""

  def direction(g, w, name):
    if name != "kernel":
      return g
    decayed = g + 0.1 * w
    return 0.05 * np.linalg.norm(w) / np.linalg.norm(decayed) * decayed

  tx = optimizer.lars(
    lambda step: 0.3 / (1 + step), 0.9, 0.1, trust_coefficient=0.05
  )
  check_steps(tx, lambda step: 0.3 / (1 + step), direction)


@pytest.mark.parametrize("decayed", ["kernels", "all"])
def test_which_parameters_decay(decayed):
  """PyTorch's weight decay of 0.02 on all of them is λ = 0.01 of λ·Σw²."""
  optim = optimizer.Optim(lr=0.3, decay=0.0, l2=0.01, decayed=decayed)
  check_steps(
    optim.make(steps=6),
    lambda step: 0.3,
    lambda g, w, name: g + 0.02 * w * (decayed == "all" or name == "kernel"),
  )


@pytest.mark.parametrize("warmup", [0, 1, 5, 19])
def test_warmup_cosine(warmup):
  """As TensorFlow Models: the warm-up replaces the cosine's first steps."""

  def cosine(step):
    return 0.4 * (1 + np.cos(np.pi * min(step, 20) / 20)) / 2

  schedule = jax.jit(optimizer.warmup_cosine(0.4, warmup, 20))
  for step in range(25):
    want = cosine(step)
    if step < warmup:
      want = 0.0 + step / warmup * (cosine(warmup) - 0.0)
    np.testing.assert_allclose(schedule(step), want, atol=1e-6)


def test_steps_of_the_rate():
  """DSM's code: after epochs 120 and 160 of 200, here of 7 steps each."""
  options = optimizer.Optim(
    schedule="steps", lr=0.003, boundaries=(0.6, 0.8), factor=0.1
  )
  make = optimizer.SCHEDULES["steps"]
  schedule = jax.jit(make(options, 200 * 7))
  for epoch in (1, 119, 120, 121, 122, 159, 160, 161, 200):
    falls = np.sum(epoch > np.array([120, 160, 200]))
    for step in (7 * (epoch - 1), 7 * epoch - 1):
      want = 0.003 * 0.1**falls
      np.testing.assert_allclose(schedule(step), want, rtol=1e-6)


@pytest.mark.parametrize("boundaries", [(0.8, 0.6), (0.5, 0.5)])
def test_boundaries_ascend(boundaries):
  with pytest.raises(ConfigError, match=r"boundaries=.* must ascend: sort"):
    optimizer.Optim(schedule="steps", boundaries=boundaries)


def test_the_options_make_the_schedule_and_the_optimizer():
  """LARS with a cosine, whose length is that of the run."""
  options = optimizer.Optim(
    name="lars", schedule="cosine", lr=0.4, warmup=5, l2=0.05
  )
  schedule = optimizer.warmup_cosine(0.4, 5, 20)
  wanted = optimizer.lars(schedule, 0.9, 0.1)
  params = {"kernel": jnp.array([1.0, -2.0]), "bias": jnp.array([0.5])}
  grads = jax.tree.map(jnp.cos, params)
  made = options.make(steps=20)
  states = [tx.init(params) for tx in (made, wanted)]
  for _ in range(20):
    (got, states[0]), (want, states[1]) = (
      tx.update(grads, state, params)
      for tx, state in zip((made, wanted), states, strict=True)
    )
    jax.tree.map(np.testing.assert_array_equal, got, want)


@pytest.mark.parametrize("steps", [20, 5])
def test_a_warm_up_is_shorter_than_the_run(steps):
  options = optimizer.Optim(schedule="cosine", warmup=20)
  message = (
    f"config.optim.warmup=20 must be less than config.train.steps={steps}"
  )
  with pytest.raises(ConfigError, match=message):
    options.check_length(steps)
  options.check_length(21)
