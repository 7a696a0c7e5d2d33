"""Attentive probes: what they compute, and what they learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special

from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError
from hdc_jax.evaluate import attentive, kinds, sweeps


def recipe(rates=(1e-3,), decays=(0.0,), epochs=2, batch_size=8):
  return attentive.Recipe(rates, epochs, 0, batch_size, decays)


def weights(count, shape, classes, seed=0):
  """Random weights of some probes, none of them 0 or 1."""
  settings = recipe(tuple(range(1, count + 1)))
  rng = np.random.default_rng(seed)
  return {
    name: rng.normal(0, 0.3, value.shape)
    for name, value in settings.init(shape, classes, 0).items()
  }


def norm(x):
  """Layer norm of the last axis, as PyTorch has it."""
  variance = x.var(axis=-1, keepdims=True)
  return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(variance + 1e-5)


def reference(w, tokens, heads):
  """V-JEPA's block as it is published: logits [C] of tokens [L, D].

  With keys and values of all tokens, and a bias of the keys, which cancels.
  """
  size = tokens.shape[-1] // heads
  x = norm(tokens) * w["tokens/scale"] + w["tokens/bias"]
  query = w["query"] @ w["q/kernel"] + w["q/bias"]
  keys = x @ w["k/kernel"] + 3.0
  values = x @ w["v/kernel"] + w["v/bias"]
  attended = []
  for head in range(heads):
    own = slice(head * size, (head + 1) * size)
    shares = special.softmax(keys[:, own] @ query[own] / np.sqrt(size))
    attended.append(shares @ values[:, own])
  pooled = w["query"] + np.concatenate(attended) @ w["out/kernel"]
  pooled += w["out/bias"]
  hidden = norm(pooled) * w["pooled/scale"] + w["pooled/bias"]
  hidden = hidden @ w["mlp1/kernel"] + w["mlp1/bias"]
  hidden = hidden * special.ndtr(hidden)  # GELU
  pooled = pooled + hidden @ w["mlp2/kernel"] + w["mlp2/bias"]
  return pooled @ w["classes/kernel"] + w["classes/bias"]


@pytest.mark.parametrize(
  ("channels", "heads"), [(128, 2), (24, 3), (7, 7), (64, 1)]
)
def test_logits_are_those_of_the_published_block(channels, heads):
  """In NumPy and float64, for each probe, video and view."""
  rng = np.random.default_rng(1)
  tokens = 2 + 3 * rng.standard_normal((2, 3, 5, channels))
  made = weights(2, (5, channels), 4)
  found = jax.jit(recipe((1.0, 2.0)).logits)(
    {name: jnp.float32(value) for name, value in made.items()},
    jnp.float32(tokens),
  )
  assert found.shape == (2, 3, 2, 4)
  for video, view, r in np.ndindex(2, 3, 2):
    own = {name: value[r] for name, value in made.items()}
    want = reference(own, tokens[video, view], heads)
    np.testing.assert_allclose(
      found[video, view, r], want, rtol=2e-4, atol=2e-4
    )


def problem(count=48, classes=3, views=2, length=12, channels=8):
  """Tokens of which one, at any position, tells the class of the video."""
  rng = np.random.default_rng(0)
  tokens = rng.standard_normal((count, views, length, channels))
  labels = np.arange(count) % classes
  for video, view in np.ndindex(count, views):
    token = np.zeros(channels)
    token[[0, 1 + labels[video]]] = 6.0
    tokens[video, view, rng.integers(length)] = token
  return np.float32(tokens), labels


@pytest.mark.slow
def test_adamw_with_each_rate_and_decay():
  """All at once as one by one, by optax; biases and scales do not decay."""
  tokens, labels = problem(count=8, views=1)
  both = recipe((1e-3, 1e-2), (0.0, 0.5), epochs=3)
  found = sweeps.train(tokens, labels, 3, both, mesh_lib.make_mesh(1), 0)
  for r, rate, decay in ((0, 1e-3, 0.0), (3, 1e-2, 0.5)):
    one = recipe((rate,), (decay,))
    params = one.init(tokens.shape[2:], 3, 0)
    tx = optax.adamw(
      optax.cosine_decay_schedule(rate, 3),
      weight_decay=decay,
      mask={n: not n.endswith(("bias", "scale")) for n in params},
    )

    def loss(params, one=one):
      logits = one.logits(params, tokens[:, 0])[:, 0]
      losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
      return losses.mean()

    @jax.jit
    def learn(params, state, tx=tx, loss=loss):
      updates, state = tx.update(jax.grad(loss)(params), state, params)
      return optax.apply_updates(params, updates), state

    state = tx.init(params)
    for _ in range(3):
      params, state = learn(params, state)
    for name, value in params.items():
      # The bias of the query has almost no gradient, which Adam enlarges.
      if name not in ("q/bias", "q/kernel", "k/kernel", "query"):
        np.testing.assert_allclose(
          found[name][r], value[0], rtol=1e-3, atol=2e-5, err_msg=name
        )


def test_it_finds_the_token_that_tells():
  """The better rate is chosen by held-out videos, which it has not seen."""
  tokens, labels = problem(count=60)
  both = recipe((1e-5, 1e-2), (0.1,), epochs=60, batch_size=16)
  mesh = mesh_lib.make_mesh(1)
  swept = sweeps.sweep(tokens, labels, 3, both, mesh, 0, held_out=0.3)
  assert swept.best == 1 and swept.accuracies[1] > 90 > swept.accuracies[0]


def test_tags_are_compared_by_their_mean_average_precision():
  tokens, labels = problem(count=24)
  shown = np.eye(3, dtype=bool)[labels] | np.eye(3, dtype=bool)[labels[::-1]]
  both = recipe((1e-6, 1e-2), epochs=2, batch_size=24)
  mesh = mesh_lib.make_mesh(1)
  swept = sweeps.sweep(tokens, shown, 3, both, mesh, 0, 0.3, kinds.TAG)
  assert ((swept.accuracies > 0) & (swept.accuracies <= 100)).all()
  assert swept.probes["classes/kernel"].shape == (2, 8, 3)


def test_bad_recipes():
  with pytest.raises(ConfigError, match=r"config\.attentive\.decays is empty"):
    recipe(decays=())
  with pytest.raises(ConfigError, match=r"config\.attentive\.rates is empty"):
    recipe(rates=())
