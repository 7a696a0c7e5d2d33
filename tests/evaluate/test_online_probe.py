"""The online probe: which videos it draws, and what it measures of them."""

import dataclasses

import numpy as np
import pytest
from sklearn import linear_model, neighbors, pipeline, preprocessing

from hdc_jax.data import sources
from hdc_jax.data.labels.segments import segments_of
from hdc_jax.errors import ConfigError, DataError
from hdc_jax.evaluate import online_probe, ridge, search
from hdc_jax.evaluate.evaluation import Evaluation, Outputs
from hdc_jax.evaluate.online_probe import OnlineProbe, Probe
from tests import small

NAMES = ("block5/knn", "block5/ridge")


@pytest.fixture(scope="module")
def source(prepared):
  return sources.open(prepared, 40, "")


@pytest.fixture
def encoded(monkeypatch):
  """Random features instead of a network; collects what was encoded."""
  calls = []

  def encode(evaluation, encoder, weights, videos, *, label, shown):
    calls.append((label, videos.tolist()))
    segments = [
      segment
      for number in videos.tolist()
      for segment in segments_of(number, evaluation.source[number], label)
    ]
    rows = np.stack(
      [
        np.random.default_rng((s.video, s.first)).normal(size=16)
        for s in segments
      ]
    ).astype(np.float32)
    values = dict.fromkeys(online_probe.ENDPOINTS, rows)
    none = [""] * len(segments)
    return Outputs(segments, none, values, none, [[] for _ in segments])

  monkeypatch.setattr(Evaluation, "encode", encode)
  return calls


def make(source, one_device, options=None, **changes):
  drawn = (options or Probe(every=1)).draw(source.index, "train", 0)
  drawn = dataclasses.replace(drawn, **changes)
  evaluation = Evaluation(one_device, source, *[None] * 2, 8, 16)
  return OnlineProbe(drawn, evaluation, small.options().model)


def test_the_videos_are_fixed_by_the_seed(source):
  options = Probe(every=1, videos=5)
  one, same, other = (
    options.draw(source.index, "train", seed) for seed in (3, 3, 4)
  )
  assert one.gallery.tolist() == same.gallery.tolist()
  assert one.gallery.tolist() != other.gallery.tolist()
  for drawn, split in ((one.gallery, "train"), (one.queries, "test")):
    assert len(drawn) == 5
    assert {*drawn.tolist()} <= {*source.index.split(split).tolist()}


def test_no_query_is_learned_from(source):
  """Also where both come from one split: queries are drawn first."""
  options = Probe(every=1, videos=10, test_split="train")
  drawn = options.draw(source.index, "train", 0)
  assert len(drawn.queries) == len(drawn.gallery) == 10
  assert not {*drawn.queries.tolist()} & {*drawn.gallery.tolist()}
  with pytest.raises(ConfigError, match=r"config\.probe\.test_split=train"):
    dataclasses.replace(options, videos=24).draw(source.index, "train", 0)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"labels": ("kind",)}, r"config\.probe\.labels: 'kind' is not one of"),
    ({"split": "x"}, r"config\.probe\.split: .* no split 'x', but test, train"),
    ({"test_split": "val"}, r"config\.probe\.test_split: .* no split 'val'"),
  ],
)
def test_what_the_dataset_lacks_is_named(source, options, message):
  with pytest.raises(ConfigError, match=message):
    Probe(every=1, **options).draw(source.index, "train", 0)


def test_a_dataset_without_labels(source):
  index = dataclasses.replace(source.index, labels={})
  with pytest.raises(ConfigError, match=r"config\.probe\.every=1: the dataset"):
    Probe(every=1).draw(index, "train", 0)


def test_videos_without_the_label_are_named(source, one_device):
  (motion, _) = Probe(every=1).draw(source.index, "train", 0).targets
  target = dataclasses.replace(motion, name="kind")
  with pytest.raises(DataError, match="has no label 'kind'"):
    make(source, one_device, targets=[target])


def test_what_is_measured_is_that_of_scikit_learn(
  source, one_device, encoded, monkeypatch
):
  """By a label that changes in a video too, whose segments count each."""
  monkeypatch.setattr(online_probe, "_NEIGHBOURS", 3)
  measured = make(source, one_device).measure(None)
  (_, train), (_, test) = encoded[:2]
  assert (len(train), len(test)) == (24, 6)
  for label in ("motion", "scene"):
    (x, y), (asked, true) = (
      features_and_classes(source, videos, label) for videos in (train, test)
    )
    knn = neighbors.KNeighborsClassifier(
      3, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07)
    )
    scaled = pipeline.make_pipeline(
      preprocessing.StandardScaler(),
      linear_model.RidgeClassifierCV(ridge.PENALTIES),
    )
    scores = scaled.fit(x, y).decision_function(asked)
    scores -= scaled[-1].intercept_  # see `ridge.scores`
    found = scaled.classes_[scores.argmax(axis=1)]
    for name, want in zip(
      NAMES,
      (knn.fit(x, y).score(asked, true), np.mean(found == true)),
      strict=True,
    ):
      assert measured[f"probe/{label}/{name}"] == pytest.approx(100 * want)
    # A query has the class of a segment that is drawn from the gallery.
    chance = np.mean([np.mean(y == each) for each in true])
    assert measured[f"probe/{label}/chance"] == pytest.approx(100 * chance)
  assert len(features_and_classes(source, test, "scene")[0]) > len(test)


def features_and_classes(source, videos, label):
  segments = [
    s for number in videos for s in segments_of(number, source[number], label)
  ]
  rows = [
    np.random.default_rng((s.video, s.first)).normal(size=16) for s in segments
  ]
  classes = np.array([s.label for s in segments])
  return np.stack(rows).astype(np.float32), classes


def test_classifiers_learn_from_the_gallery_alone(
  source, one_device, encoded, monkeypatch
):
  """Other labels of the queries change nothing of what they learn from."""
  learned = []
  scores, votes = ridge.scores, search.knn_scores
  monkeypatch.setattr(
    ridge, "scores", lambda g, s, q: learned.append((g, s)) or scores(g, s, q)
  )
  monkeypatch.setattr(
    search,
    "knn_scores",
    lambda n, s, *rest: learned.append((s,)) or votes(n, s, *rest),
  )
  probe = make(source, one_device, Probe(every=1, labels=("motion",)))
  probe.measure(None)
  (_, train), _ = encoded
  x, y = features_and_classes(source, train, "motion")
  for *rows, shown in learned:
    assert all(np.array_equal(each, x) for each in rows)
    assert np.array_equal(shown.argmax(axis=1), y)


def test_labels_with_the_same_segments_are_encoded_once(
  source, one_device, encoded
):
  motion = Probe(every=1).draw(source.index, "train", 0).targets[0]
  make(source, one_device, targets=[motion, motion]).measure(None)
  assert [label for label, _ in encoded] == ["motion", "motion"]  # two splits


@pytest.mark.parametrize(
  ("monitor", "options", "message"),
  [
    ("probe/motion/block5/knn", {}, "needs the online probe: set config.probe"),
    ("probe/motion/block5/knm", {"every": 1}, "did you mean 'probe/motion/blo"),
    ("loss", {"every": 1}, "'loss' is not one of probe/LABEL/block1/knn"),
    (
      "probe/motion/block5/knn",
      {"every": 1, "labels": ("scene",)},
      "is not one of probe/scene/block1/knn",
    ),
  ],
)
def test_an_unknown_monitor_is_named(monitor, options, message):
  with pytest.raises(ConfigError, match=message):
    Probe(**options).check_monitor(monitor)


def test_a_monitor_of_a_label_that_the_dataset_lacks(source):
  options = Probe(every=1)
  options.check_monitor("probe/scene/block1/ridge", source.index)
  options.check_monitor("probe/kind/block1/ridge")
  with pytest.raises(ConfigError, match=r"config\.train\.keep_best: 'probe/"):
    options.check_monitor("probe/kind/block1/ridge", source.index)
