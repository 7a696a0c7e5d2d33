"""Linear probes against NumPy, each alone, and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import datasets, linear_model, metrics

from hdc_jax.data.labels import subsets
from hdc_jax.distributed import mesh as mesh_lib
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import kinds, probe, sweeps
from hdc_jax.models.classification import ANY_CLASSES


def unit(features):
  return features / np.linalg.norm(features, axis=-1, keepdims=True)


def softmax(logits):
  exps = np.exp(logits - logits.max(axis=-1, keepdims=True))
  return exps / exps.sum(axis=-1, keepdims=True)


def problem(count=21, views=1, dim=6, classes=3):
  """Random features with a trace of their class, and the labels."""
  rng = np.random.default_rng(1)
  labels = np.arange(count) % classes
  means = rng.standard_normal((classes, dim))
  noise = rng.standard_normal((count, views, dim))
  return np.float32(means[labels][:, None] + noise), labels


def softmax_errors(logits, labels):
  return softmax(logits) - np.eye(logits.shape[1])[labels]


def sigmoid_errors(logits, shown):
  return (1 / (1 + np.exp(-logits)) - shown) / logits.shape[1]


def sgd_in_numpy(recipe, features, labels, seed, errors=softmax_errors):
  """Kernels and biases by rate, in float64: v ← m·v - lr·g."""
  count, views, dim = features.shape
  classes = 3
  per_epoch = -(-count // recipe.batch_size)
  warmup, steps = recipe.warmup_epochs * per_epoch, recipe.epochs * per_epoch

  def rate_at(step):
    """The cosine counts from step 0; the warm-up leads to it."""
    cosine = (1 + np.cos(np.pi * max(step, warmup) / steps)) / 2
    return cosine * min(1, step / warmup)

  found = []
  for peak in recipe.rates:
    weights = np.zeros((dim + 1, classes))
    velocity, step = np.zeros_like(weights), 0
    decay = recipe.l2 * np.append(np.ones(dim), 0)[:, None]
    for epoch in range(recipe.epochs):
      rng = np.random.default_rng((seed, epoch))
      order = rng.permutation(count)
      shown = unit(np.float64(features)[order, rng.integers(views, size=count)])
      shown = np.hstack([shown, np.ones((count, 1))])
      for first in range(0, count, recipe.batch_size):
        x = shown[first : first + recipe.batch_size]
        y = labels[order[first : first + recipe.batch_size]]
        gradient = x.T @ errors(x @ weights, y) / len(x) + decay * weights
        rate = peak * rate_at(step)
        velocity = recipe.momentum * velocity - rate * gradient
        weights = weights + velocity
        step += 1
    found.append((weights[:-1], weights[-1]))
  return found


@pytest.mark.parametrize(
  "recipe",
  [
    probe.Recipe((0.5, 3.0), 4, 1, 8, momentum=0.8, l2=0.02),
    # CVRL's rate. While it changes, a rate outside of the velocity gives other
    # kernels.
    probe.Recipe((32.0,), 10, 2, 8),
  ],
  ids=["l2", "rate 32"],
)
def test_is_sgd_in_numpy(recipe):
  """Order, last partly filled batch, warm-up, cosine, momentum and L2."""
  features, labels = problem(count=21, views=3)
  found = sweeps.train(features, labels, 3, recipe, mesh_lib.make_mesh(2), 5)
  want = sgd_in_numpy(recipe, features, labels, 5)
  for r, (kernel, bias) in enumerate(want):
    np.testing.assert_allclose(found.kernel[r], kernel, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.bias[r], bias, rtol=1e-3, atol=1e-5)


def any_classes(labels):
  """Each video shows its class, and some show the next class too."""
  shown = np.eye(3, dtype=bool)[labels]
  shown[::4] |= np.roll(shown[::4], 1, axis=1)
  return shown


def test_tags_are_learned_by_sigmoids():
  """Of a video that shows any number of classes, as in NumPy."""
  features, labels = problem(count=21, views=3)
  shown = any_classes(labels)
  recipe = probe.Recipe((1.0, 32.0), 5, 1, 8)
  found = sweeps.train(
    features,
    shown,
    3,
    recipe,
    mesh_lib.make_mesh(2),
    5,
    classification=ANY_CLASSES,
  )
  want = sgd_in_numpy(recipe, features, shown, 5, sigmoid_errors)
  for r, (kernel, bias) in enumerate(want):
    np.testing.assert_allclose(found.kernel[r], kernel, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.bias[r], bias, rtol=1e-3, atol=1e-5)


def test_rates_of_tags_are_compared_by_precision():
  """By scikit-learn's, of the means over the views of held-out videos."""
  features, labels = problem(count=60, views=3)
  shown = any_classes(labels)
  recipe = probe.Recipe((0.01, 30.0), 5, 1, 16)
  mesh = mesh_lib.make_mesh(8)
  swept = sweeps.sweep(features, shown, 3, recipe, mesh, 3, 0.3, kinds.TAG)
  rest, held = subsets.any_held_out(shown, 0.3, np.random.default_rng(3))
  arguments = features[rest], shown[rest], 3, recipe, mesh, 3
  probes = sweeps.train(*arguments, classification=ANY_CLASSES)
  logits = np.einsum("nvd,rdc->rnvc", unit(features[held]), probes.kernel)
  logits += np.asarray(probes.bias)[:, None, None]
  means = (1 / (1 + np.exp(-logits))).mean(axis=2)
  want = [metrics.average_precision_score(shown[held], m) for m in means]
  np.testing.assert_allclose(swept.accuracies, 100 * np.array(want), rtol=1e-5)
  assert swept.best == int(np.argmax(want))


def test_every_rate_as_if_alone():
  features, labels = problem(views=2)
  rates = (0.1, 1.0, 32.0)

  def trained(rates):
    recipe = probe.Recipe(rates, 3, 1, 8, l2=1e-3)
    return sweeps.train(features, labels, 3, recipe, mesh_lib.make_mesh(1), 0)

  together = trained(rates)
  for r, rate in enumerate(rates):
    alone = trained((rate,))
    np.testing.assert_allclose(
      together.kernel[r], alone.kernel[0], rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
      together.bias[r], alone.bias[0], rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("batch_size", [7, 1024])
def test_devices_do_not_change_the_probes(batch_size):
  """Also where neither batch nor videos split over them; nor does a rerun."""
  features, labels = problem(count=21, views=2)
  recipe = probe.Recipe((2.0,), 3, 0, batch_size)

  def trained(devices, seed=0):
    mesh = mesh_lib.make_mesh(devices)
    return sweeps.train(features, labels, 3, recipe, mesh, seed).kernel

  one = trained(1)
  np.testing.assert_allclose(trained(8), one, rtol=1e-4, atol=1e-6)
  np.testing.assert_array_equal(trained(1), one)
  assert not np.allclose(trained(1, seed=1), one, rtol=1e-2)


def test_scores():
  """Probabilities of normalised features; a zero vector gives the bias's."""
  rng = np.random.default_rng(0)
  kernel, bias = rng.standard_normal((2, 6, 3)), rng.standard_normal((2, 3))
  features = 50 * rng.standard_normal((5, 6))
  want = softmax(np.einsum("bd,rdc->brc", unit(features), kernel) + bias)
  probes = probe.Probes(jnp.float32(kernel), jnp.float32(bias))
  recipe = probe.Recipe((1.0, 2.0), 1, 0, 8)
  found = jax.jit(recipe.scores)(probes, jnp.float32(features))
  np.testing.assert_allclose(found, want, atol=1e-6)
  # On CPU the precisions do not differ.
  traced = jax.make_jaxpr(recipe.scores)(probes, jnp.float32(features))
  assert "HIGHEST" in str(traced)
  zero = recipe.scores(probes, jnp.zeros((1, 6)))
  np.testing.assert_allclose(zero[0], softmax(bias), atol=1e-6)


@pytest.fixture(scope="module")
def digits():
  """Noisy digits: 600 to train on and 1000 to test, in classes that overlap."""
  pixels, labels = datasets.load_digits(return_X_y=True)
  rng = np.random.default_rng(0)
  order = rng.permutation(len(labels))
  pixels = np.float32(pixels + rng.normal(0, 6, pixels.shape))[order]
  train, test = slice(600), slice(600, 1600)
  labels = labels[order]
  return pixels[train], labels[train], pixels[test], labels[test]


@pytest.mark.parametrize(
  ("l2", "rate", "epochs"), [(1e-3, 8.0, 120), (1e-5, 32.0, 200)]
)
def test_is_as_good_as_logistic_regression(digits, l2, rate, epochs):
  """Of the same objective, which scikit-learn solves by another method."""
  train, train_labels, test, test_labels = digits
  recipe = probe.Recipe((rate,), epochs, 5, 200, l2=l2)
  probes = sweeps.train(
    train[:, None], train_labels, 10, recipe, mesh_lib.make_mesh(1), 0
  )
  found = np.asarray(recipe.scores(probes, test))[:, 0]
  reference = linear_model.LogisticRegression(
    C=1 / (l2 * len(train)), max_iter=2000, tol=1e-6
  )
  want = reference.fit(unit(train), train_labels).predict_proba(unit(test))

  def accuracy(scores):
    return 100 * np.mean(scores.argmax(axis=1) == test_labels)

  assert 50 < accuracy(want) < 95  # neither hopeless nor trivial
  assert abs(accuracy(found) - accuracy(want)) <= 1
  if l2 == 1e-3:  # there the optimum is well conditioned
    np.testing.assert_allclose(found, want, atol=0.02)


def test_every_view_is_shown():
  """Each view has an axis of its own; every video is shown once an epoch."""
  features = np.zeros((40, 3, 3), np.float32)
  features[:, np.arange(3), np.arange(3)] = 1.0
  labels = np.arange(40) % 2
  recipe = probe.Recipe((1.0,), 1, 0, 40)
  probes = sweeps.train(features, labels, 2, recipe, mesh_lib.make_mesh(1), 0)
  # One step from zero, where the errors are ±1/2, along the axes shown.
  rng = np.random.default_rng((0, 0))
  order = rng.permutation(40)
  shown = rng.integers(3, size=40)
  want = [
    np.sum((labels[order] - 0.5)[shown == view]) / 40 for view in range(3)
  ]
  np.testing.assert_allclose(probes.kernel[0, :, 1], want, atol=1e-6)
  assert len(set(shown)) == 3


def one_hot(classes=2, count=12):
  """Videos of which none tells anything about any other."""
  features = np.eye(classes * count, dtype=np.float32)[:, None]
  return features, np.repeat(np.arange(classes), count)


@pytest.mark.slow
def test_sweep_holds_out_what_it_measures():
  """Only what was trained on can be known, and in the end all was."""
  features, labels = one_hot()
  recipe = probe.Recipe((1.0, 30.0), 40, 0, 8)
  swept = sweeps.sweep(
    features, labels, 2, recipe, mesh_lib.make_mesh(2), 0, held_out=0.5
  )
  np.testing.assert_array_equal(swept.accuracies, [50.0, 50.0])
  assert swept.accuracies.dtype == np.float32
  scores = np.asarray(recipe.scores(swept.probes, features[:, 0]))
  assert np.all(scores.argmax(axis=-1) == labels[:, None])


@pytest.mark.slow
def test_sweep_is_of_held_out_videos():
  """Against the accuracy of probes trained on the rest, view by view."""
  features, labels = problem(count=60, views=3)
  recipe = probe.Recipe((0.01, 30.0, 1.0), 5, 1, 16)
  mesh = mesh_lib.make_mesh(8)
  swept = sweeps.sweep(features, labels, 3, recipe, mesh, 3, held_out=0.3)
  rest, held = subsets.held_out(labels, 0.3, np.random.default_rng(3))
  probes = sweeps.train(features[rest], labels[rest], 3, recipe, mesh, 3)
  mean = np.asarray(recipe.scores(probes, features[held])).mean(axis=1)
  right = mean.argmax(axis=-1) == labels[held][:, None]
  np.testing.assert_allclose(swept.accuracies, 100 * right.mean(axis=0))
  assert len(set(swept.accuracies)) > 1
  assert swept.accuracies[swept.best] == max(swept.accuracies)
  everything = sweeps.train(features, labels, 3, recipe, mesh, 3)
  np.testing.assert_array_equal(swept.probes.kernel, everything.kernel)


@pytest.mark.parametrize(
  ("rates", "best"), [((5.0, 2.0, 9.0), 1), ((2.0, 5.0), 0)]
)
def test_ties_go_to_the_smaller_rate(rates, best):
  features, labels = problem(count=30)
  features[:, :, :3] += 100 * np.eye(3)[labels][:, None]  # all are right
  recipe = probe.Recipe(rates, 20, 0, 8)
  swept = sweeps.sweep(
    features, labels, 3, recipe, mesh_lib.make_mesh(1), 0, held_out=0.2
  )
  assert set(swept.accuracies) == {100.0}
  assert swept.best == best


@pytest.mark.parametrize("held_out", [0.0, 0.5])
def test_a_single_rate_holds_nothing_out(held_out):
  features, labels = problem()
  recipe = probe.Recipe((1.0,), 2, 0, 8)
  mesh = mesh_lib.make_mesh(1)
  swept = sweeps.sweep(features, labels, 3, recipe, mesh, 0, held_out)
  assert np.isnan(swept.accuracies).tolist() == [True]
  assert swept.best == 0


def test_bad_input():
  features, labels = problem()
  mesh = mesh_lib.make_mesh(1)
  recipe = probe.Recipe((1.0, 2.0), 2, 0, 8)
  with pytest.raises(ConfigError, match=r"linear\.held_out=0\.0 .* 2 settings"):
    sweeps.sweep(features, labels, 3, recipe, mesh, 0, held_out=0.0)
  with pytest.raises(DataError, match="no class has two videos"):
    sweeps.sweep(features[:3], labels[:3], 3, recipe, mesh, 0, held_out=0.5)
  with pytest.raises(ConfigError, match=r"linear\.rates is empty"):
    probe.Recipe((), 2, 0, 8)
  with pytest.raises(ConfigError, match=r"linear\.warmup_epochs=2 "):
    probe.Recipe((1.0,), 2, 2, 8)
  features[4, 0, 2] = np.nan
  with pytest.raises(DataError, match=r"1 of the 21 training .* row 4"):
    sweeps.train(features, labels, 3, recipe, mesh, 0)
