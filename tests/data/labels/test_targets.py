"""Labels and tags of a dataset, and what a training takes of them."""

import types

import numpy as np
import pytest

from hdc_jax.data import sources
from hdc_jax.data.labels import targets
from hdc_jax.data.labels.segments import Segment, segments_of
from hdc_jax.data.options import Folds, Subset
from hdc_jax.errors import ConfigError, DataError


@pytest.fixture
def source(tagged):
  return sources.open(tagged)


def test_all_labels_and_tags_are_chosen(source):
  chosen = targets.chosen_targets(Folds(), source.index)
  assert [(t.name, t.is_tag) for t in chosen] == [
    ("kind", False),
    ("actions", True),
  ]
  assert list(chosen[1].classes) == ["run", "jump", "sing"]
  (one,) = targets.chosen_targets(Folds(labels=("actions",)), source.index)
  assert one == chosen[1]
  with pytest.raises(ConfigError, match=r"labels: 'x' .* kind, actions"):
    targets.chosen_targets(Folds(labels=("x",)), source.index)


def test_subsets_are_for_labels(source):
  chosen = targets.chosen_targets(Folds(), source.index)
  targets.check_subset(Subset(), chosen)
  targets.check_subset(Subset(shots=1), chosen[:1])
  for subset in (Subset(shots=1), Subset(fraction=0.5)):
    with pytest.raises(ConfigError, match=r"subset: .* classes of 'actions'"):
      targets.check_subset(subset, chosen)


def test_true_classes(source):
  """A number for a label; for a tag, a 1 for each class that is shown."""
  rows = [
    targets.true_classes(source.index, video, "actions", 0)
    for video in (source[0], source[1], source[15])
  ]
  assert rows[0].dtype == np.int32
  np.testing.assert_array_equal(rows, [[1, 0, 0], [0, 1, 1], [0, 0, 0]])
  kind = targets.true_classes(source.index, source[1], "kind", 3)
  assert (kind.shape, kind.dtype, int(kind)) == ((), np.int32, 1)


def test_a_tag_has_one_segment(source):
  video = source[1]
  whole = Segment(1, 0, video.num_frames, -1)
  assert segments_of(1, video, "actions") == [whole]


def test_videos_without_the_tag_are_named(source):
  bare = types.SimpleNamespace(id="bare.mp4", labels={}, tags={})
  with pytest.raises(DataError, match=r"bare\.mp4: has no tag 'actions'"):
    targets.true_classes(source.index, bare, "actions", 0)
  with pytest.raises(DataError, match=r"bare\.mp4: has no label 'actions'"):
    segments_of(0, bare, "actions")
