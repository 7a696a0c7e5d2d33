"""The ridge classifier is scikit-learn's."""

import numpy as np
import pytest
from sklearn import linear_model, pipeline, preprocessing

from hdc_jax.evaluate import ridge


@pytest.mark.parametrize("noise", [0.1, 1.0, 10.0])
@pytest.mark.parametrize(("count", "dim"), [(60, 7), (20, 50)])
def test_scores_are_those_of_scikit_learn(count, dim, noise):
  rng = np.random.default_rng(count)
  # Classes that the features tell more or less well, of any number each.
  shown = rng.random((count, 3)) < (0.2, 0.5, 0.7)
  directions = rng.normal(size=(3, dim))
  gallery = shown @ directions + noise * rng.normal(size=(count, dim)) + 5.0
  gallery[:, 1] *= 100.0
  queries = rng.normal(size=(9, dim)) * gallery.std(axis=0) + 5.0
  got = ridge.scores(
    gallery.astype(np.float32), shown, queries.astype(np.float32)
  )
  peer = pipeline.make_pipeline(
    preprocessing.StandardScaler(),
    linear_model.RidgeClassifierCV(ridge.PENALTIES),
  )
  peer.fit(gallery.astype(np.float32).astype(float), shown.astype(int))
  want = peer.decision_function(queries.astype(np.float32).astype(float))
  want -= peer[-1].intercept_
  np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_a_large_class_does_not_win_where_features_tell_little():
  rng = np.random.default_rng(0)
  shown = np.eye(2, dtype=bool)[(np.arange(60) < 15).astype(int)]
  noise = rng.normal(size=(60, 10))
  won = ridge.scores(noise, shown, rng.normal(size=(1000, 10))).argmax(axis=1)
  assert 0.3 < won.mean() < 0.7


def test_leave_one_out_chooses_different_penalties():
  """So that the comparison with scikit-learn compares the choice too."""
  rng = np.random.default_rng(0)
  shown = np.eye(2, dtype=bool)[rng.integers(2, size=40)]
  noise = rng.normal(size=(40, 10))
  for gallery, best in ((noise, 1e4), (shown @ rng.normal(size=(2, 10)), 1.0)):
    chosen = ridge.scores(gallery, shown, noise, (1.0, 1e4))
    np.testing.assert_array_equal(
      chosen, ridge.scores(gallery, shown, noise, (best,))
    )


def test_a_feature_that_never_changes_counts_for_nothing():
  rng = np.random.default_rng(1)
  gallery, queries = rng.normal(size=(12, 4)), rng.normal(size=(5, 4))
  shown = np.eye(3, dtype=bool)[np.arange(12) % 3]
  want = ridge.scores(gallery, shown, queries)
  gallery = np.insert(gallery, 2, 7.0, axis=1)
  queries = np.insert(queries, 2, [7.0, 0.0, 99.0, 7.0, 7.0], axis=1)
  got = ridge.scores(gallery, shown, queries)
  np.testing.assert_allclose(got, want, atol=1e-6)
