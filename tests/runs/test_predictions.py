"""Predictions: their file, and what they add up to."""

import numpy as np
import pytest
from etils import epath
from sklearn import metrics

from hdc_jax.errors import DataError
from hdc_jax.runs.predictions import (
  ClassScores,
  Predictions,
  TagPredictions,
)

NAMES = np.array(["a", "b", "c", "ü"])


def make(scores, truth, **changes):
  scores = np.asarray(scores, np.float32)
  fields = {
    "ids": np.array([f"video{i}" for i in range(len(scores))], str),
    "labels": np.asarray(truth, np.int32),
    "scores": scores,
    "names": NAMES[: scores.shape[1]],
    "label": "class",
  }
  return Predictions(**fields | changes)


@pytest.fixture
def drawn():
  rng = np.random.default_rng(0)
  return make(rng.normal(size=(200, 4)), rng.integers(0, 4, 200))


def test_a_file_gives_back_what_was_saved(drawn, tmp_path):
  path = tmp_path / "run" / "split1" / "predictions.npz"
  drawn.save(path)
  loaded = Predictions.load(str(path))
  assert loaded.label == "class"
  for field in ("ids", "labels", "scores", "names"):
    array = getattr(loaded, field)
    assert array.dtype == getattr(drawn, field).dtype
    np.testing.assert_array_equal(array, getattr(drawn, field))
  assert [p.name for p in path.parent.iterdir()] == ["predictions.npz"]
  with np.load(path) as archive:  # other programs read it by these names
    assert {*archive} == {"ids", "labels", "scores", "names", "label"}
    assert archive["label"].shape == ()


def test_an_interrupted_save_leaves_the_old_file(drawn, tmp_path, monkeypatch):
  path = epath.Path(tmp_path) / "predictions.npz"
  drawn.save(path)
  before = path.read_bytes()

  def fail(*_):
    raise OSError("killed")

  monkeypatch.setattr(type(path), "replace", fail)
  with pytest.raises(OSError, match="killed"):
    make([[1, 2]], [0]).save(path)
  assert path.read_bytes() == before


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_top_k_is_how_many_are_among_the_first(drawn, k):
  hits = [
    label in sorted(range(4), key=lambda c: -scores[c])[:k]
    for label, scores in zip(drawn.labels, drawn.scores, strict=True)
  ]
  assert drawn.top(k) == pytest.approx(100 * sum(hits) / 200)


def test_accuracies(drawn):
  assert drawn.measures() == {"top1": drawn.top(1), "top5": 100.0}


def test_ties_count_against_us():
  tied = make(np.zeros((3, 4)), [0, 1, 3])
  assert [tied.top(k) for k in (1, 3, 4)] == [0, 0, 100]
  assert np.diag(tied.confusion()).sum() == 0
  half = make([[2, 2, 1], [2, 1, 1]], [0, 0])
  assert half.top(1) == 50 and half.top(2) == 100


def test_confusion_counts_every_video_once(drawn):
  expected = np.zeros((4, 4), int)
  for label, scores in zip(drawn.labels, drawn.scores, strict=True):
    expected[label, list(scores).index(max(scores))] += 1
  np.testing.assert_array_equal(drawn.confusion(), expected)
  diagonal = np.diag(drawn.confusion()).sum()
  assert drawn.top(1) == pytest.approx(100 * diagonal / 200)


def test_confusion_of_many_classes_stored_in_few_bits():
  labels = np.full(3, 199, np.uint8)
  scores = np.eye(200, dtype=np.float32)[[199, 199, 7]]
  names = np.array([str(i) for i in range(200)])
  matrix = make(scores, labels, labels=labels, names=names).confusion()
  assert matrix[199, 199] == 2 and matrix[199, 7] == 1 and matrix.sum() == 3


@pytest.mark.parametrize(
  ("scores", "labels", "changes", "message"),
  [
    ([[1, np.nan], [1, 2]], [0, 1], {}, "video0 has a score that is NaN"),
    ([[1, 2], [1, 2]], [0, 2], {}, "video1 has a label that is none of the 2"),
    ([[1, 2], [1, 2]], [0, -1], {}, "video1 has a label"),
    ([[1, 2]], [0, 1], {}, r"labels are int32 \[2\]: with 1 ids and 2 names"),
    ([[1, 2]], [0], {"labels": np.zeros(1)}, "labels are float64"),
    ([[1, 2]], [0], {"ids": np.arange(1)}, "ids are int64"),
    ([[1, 2]], [0], {"names": NAMES}, r"give float32 \[1, 4\]"),
    (np.zeros((0, 2)), [], {}, "give at least one"),
  ],
)
def test_what_does_not_fit_together_is_refused(
  scores, labels, changes, message
):
  with pytest.raises(DataError, match=message):
    make(scores, labels, **changes)


def tagged(scores, shown):
  count, classes = np.shape(scores)
  return TagPredictions(
    ids=np.array([f"video{i}" for i in range(count)]),
    labels=np.asarray(shown, bool),
    scores=np.asarray(scores, np.float32),
    names=np.array([f"class{i}" for i in range(classes)]),
    label="actions",
  )


@pytest.mark.parametrize("levels", [3, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_map_is_that_of_scikit_learn(levels, seed):
  """Exactly, with many equal scores or few; of classes with a positive."""
  rng = np.random.default_rng(seed)
  shown = rng.random((60, 12)) < rng.uniform(0.02, 0.9, 12)
  shown[:, 4] = False
  scores = np.float32(rng.integers(levels, size=shown.shape) / levels)
  some = shown.any(axis=0)
  assert 4 <= some.sum() < 12
  want = metrics.average_precision_score(
    shown[:, some], scores[:, some], average="macro"
  )
  got = tagged(scores, shown).measures()
  assert got.keys() == {"map"}
  np.testing.assert_allclose(got["map"], 100 * want, rtol=1e-14)


def test_files_of_tags(tmp_path):
  """The kind of a file is that of its labels."""
  path = tmp_path / "predictions.npz"
  saved = tagged([[0.5, 0.1], [0.2, 0.9]], [[1, 0], [1, 1]])
  saved.save(path)
  for loaded in (ClassScores.load(path), TagPredictions.load(path)):
    assert isinstance(loaded, TagPredictions)
    np.testing.assert_array_equal(loaded.labels, saved.labels)
    np.testing.assert_array_equal(loaded.scores, saved.scores)
  with pytest.raises(DataError, match="TagPredictions, not Predictions"):
    Predictions.load(path)


def test_tags_that_do_not_fit_are_refused():
  with pytest.raises(DataError, match=r"labels are bool \[2, 1\]"):
    tagged([[0, 1], [1, 2]], [[1], [0]])
  with pytest.raises(DataError, match="video1 has a score that is NaN"):
    tagged([[0, 1], [1, np.nan]], np.eye(2))
  with pytest.raises(DataError, match="no tested video shows any"):
    tagged([[0, 1], [1, 2]], np.zeros((2, 2))).measures()


def test_damaged_files_are_named(drawn, tmp_path):
  path = tmp_path / "predictions.npz"
  with pytest.raises(DataError, match=r"predictions\.npz: there is no such"):
    Predictions.load(path)
  drawn.save(path)
  whole = path.read_bytes()
  for damaged in (b"", b"junk", whole[:100], whole[:-30]):
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"npz holds no predictions.*remove"):
      Predictions.load(path)
  for place in range(30, 300, 13):
    path.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
    try:
      loaded = Predictions.load(path)
    except DataError:
      continue
    np.testing.assert_array_equal(loaded.scores, drawn.scores)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"ids": None}, "holds no predictions"),
    ({"ids": np.array([object()])}, "holds no predictions"),
    ({"scores": np.full((1, 2), np.nan, np.float32)}, "video0 has a score"),
  ],
)
def test_wrong_contents_are_refused(tmp_path, changes, message):
  arrays = dict(vars(make([[1, 2]], [0]))) | changes
  path = tmp_path / "predictions.npz"
  np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
  with pytest.raises(DataError, match=message) as caught:
    Predictions.load(path)
  assert str(caught.value).startswith(str(path))


def test_a_single_array_is_no_file_of_predictions(tmp_path):
  with (tmp_path / "predictions.npz").open("wb") as file:
    np.save(file, np.zeros(3))
  with pytest.raises(DataError, match="holds no predictions"):
    Predictions.load(tmp_path / "predictions.npz")
