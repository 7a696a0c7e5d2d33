"""Losses and scores of one class, and of any number, against NumPy."""

import jax
import numpy as np
import pytest

from hdc_jax.models.classification import ANY_CLASSES, ONE_CLASS


@pytest.fixture
def logits():
  return np.random.default_rng(0).normal(size=(6, 2, 4)) * 3


def test_any_classes_are_sigmoids_in_numpy(logits):
  """Values, and gradients: each class is learned as if alone."""
  shown = np.random.default_rng(1).integers(2, size=logits.shape)
  chances = 1 / (1 + np.exp(-logits))
  terms = shown * np.log(chances) + (1 - shown) * np.log(1 - chances)
  arguments = np.float32(logits), np.int32(shown)
  loss = ANY_CLASSES.loss(*arguments)
  np.testing.assert_allclose(loss, -terms.mean(axis=-1), rtol=1e-5)
  np.testing.assert_allclose(
    ANY_CLASSES.scores(arguments[0]), chances, rtol=1e-5
  )
  gradient = jax.grad(lambda x: ANY_CLASSES.loss(x, arguments[1]).sum())
  np.testing.assert_allclose(
    gradient(arguments[0]), (chances - shown) / 4, atol=1e-6
  )
  best = np.take_along_axis(shown, logits.argmax(-1)[..., None], -1)[..., 0]
  np.testing.assert_array_equal(ANY_CLASSES.correct(*arguments), best == 1)
  assert 0 < best.sum() < best.size


def test_one_class_is_a_softmax_in_numpy(logits):
  labels = np.random.default_rng(1).integers(4, size=logits.shape[:-1])
  chances = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
  true = np.take_along_axis(chances, labels[..., None], axis=-1)[..., 0]
  arguments = np.float32(logits), np.int32(labels)
  np.testing.assert_allclose(
    ONE_CLASS.loss(*arguments), -np.log(true), rtol=1e-4, atol=1e-6
  )
  np.testing.assert_allclose(ONE_CLASS.scores(arguments[0]), chances, rtol=1e-5)
  np.testing.assert_array_equal(
    ONE_CLASS.correct(*arguments), logits.argmax(-1) == labels
  )
