"""CVRL's one term against float64 NumPy, and how its views differ."""

import jax
import numpy as np
import pytest

from hdc_jax.data.clips import sampling
from tests import small
from tests.methods import embedding

VIDEOS = 5


@pytest.fixture(scope="module")
def method():
  return small.make_method(
    method="cvrl",
    method__hidden=(7, 8),
    method__temperature=0.1,
    method__power=2.0,
  )


def reference(variables, temperature):
  """Head and NT-Xent: batch norm over both views of all videos."""
  x = embedding.pooled(variables).reshape(-1, embedding.CHANNELS)
  head = variables["params"]["projection"]
  for i in range(2):
    dense, norm = head[f"Dense_{i}"], head[f"BatchNorm_{i}"]
    x = x @ np.float64(dense["kernel"]) + np.float64(dense["bias"])
    x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    x = np.maximum(0, x * np.float64(norm["scale"]) + np.float64(norm["bias"]))
  last = jax.tree.map(np.float64, head["Dense_2"])
  x = x @ last["kernel"] + last["bias"]
  x = embedding.normalise(x)
  losses = []
  for i in range(len(x)):
    others = [j for j in range(len(x)) if j != i]
    scores = np.exp(x[np.array(others)] @ x[i] / temperature)
    positive = others.index(i ^ 1)  # the other view of the video
    losses.append(-np.log(scores[positive] / scores.sum()))
  return np.mean(losses)


@pytest.mark.slow
def test_value(method):
  network, variables, views = embedding.make(method, VIDEOS)
  embeddings, updated = network.apply(
    variables, views, train=True, mutable=["batch_stats"]
  )
  loss, metrics = method.loss(embeddings)
  np.testing.assert_allclose(loss, reference(variables, 0.1), rtol=1e-5)
  assert set(metrics) == {"loss/nt_xent", "accuracy/nt_xent"}
  # CVRL's momentum of 0.997.
  means = updated["batch_stats"]["projection"]["BatchNorm_0"]["mean"]
  head = variables["params"]["projection"]["Dense_0"]
  hidden = embedding.pooled(variables).reshape(-1, 6) @ np.float64(
    head["kernel"]
  )
  np.testing.assert_allclose(means, 0.003 * hidden.mean(0), rtol=1e-4)


def test_views(method):
  first, second = method.views
  assert (first.clip, second.clip) == (0, 1)
  assert first.crop == second.crop
  differ = [
    (type(a).__name__, a.probability, b.probability)
    for a, b in zip(first.transforms, second.transforms, strict=True)
    if a != b
  ]
  assert differ == [("GaussianBlur", 1.0, 0.1), ("Solarize", 0.0, 0.2)]
  assert method.starts == sampling.IntervalStarts(2.0)
  names = [type(t).__name__ for t in first.transforms]
  assert names == [
    "RandomFlip",
    "ShuffledColourJitter",
    "Greyscale",
    "GaussianBlur",
    "Solarize",
  ]


@pytest.mark.slow
def test_one_encoder(method):
  """Without a running mean both views have gradients."""
  network, variables, views = embedding.make(method, VIDEOS)

  def loss(params):
    embeddings, _ = network.apply(
      variables | {"params": params}, views, True, mutable=["batch_stats"]
    )
    return method.loss(embeddings)[0]

  grads = jax.grad(loss)(variables["params"])["backbone"]["block5"]
  assert (np.abs(grads).max((0, 2, 3, 4, 5)) > 1e-6).all()
