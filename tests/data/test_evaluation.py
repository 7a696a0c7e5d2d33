"""Which clips of which parts are looked at, and that none is lost."""

import itertools

import numpy as np
import pytest

from hdc_jax.data import evaluation, sources
from hdc_jax.data.codec import Window
from hdc_jax.errors import ConfigError, DataError
from tests import small


@pytest.fixture(scope="module")
def source(prepared):
  return sources.open(prepared)


def test_parts_of_a_video(source):
  video = source[0]
  (whole,) = evaluation.parts_of(0, video, "motion")
  assert (whole.first, whole.stop) == (0, video.num_frames)
  assert evaluation.parts_of(0, video, "") == [whole._replace(label=-1)]
  parts = evaluation.parts_of(0, video, "scene")
  assert parts[0].first == 0
  assert parts[-1].stop == video.num_frames
  assert all(a.stop == b.first for a, b in itertools.pairwise(parts))
  for part in parts:
    assert video.label("scene", part.first) == part.label
    assert video.label("scene", part.stop - 1) == part.label
  with pytest.raises(DataError, match=r"'speed'.*motion, scene"):
    evaluation.parts_of(0, video, "speed")


def test_dense_clips_in_five_crops():
  """HDC's test: all 16-frame clips that fit, centre and corners of each."""
  looks = evaluation.FixedLooks(16, 1, 112, clips=0, crops="five")
  cuts = looks.cuts(evaluation.Part(0, 0, 70, 0), 128, 170)
  assert [start for start, _ in cuts] == [0, 16, 32, 48]
  corners = [(8, 28), (0, 0), (0, 58), (16, 0), (16, 58)]
  for _, windows in cuts:
    assert windows == tuple(Window(*at, 112, 112) for at in corners)


def test_ten_clips_in_three_crops():
  """CVRL's test: along the longer side, whichever that is."""
  looks = evaluation.FixedLooks(32, 2, 256, clips=10, crops="three")
  part = evaluation.Part(0, 0, 300, 0)
  cuts = looks.cuts(part, 256, 340)
  # 32 frames at stride 2 reach over 63: the last start is 237.
  want = [0, 26, 52, 79, 105, 131, 158, 184, 210, 237]
  assert [start for start, _ in cuts] == want
  for _, windows in cuts:
    assert [(w.top, w.left) for w in windows] == [(0, 0), (0, 42), (0, 84)]
  for _, windows in looks.cuts(part, 340, 256):
    assert [(w.top, w.left) for w in windows] == [(0, 0), (42, 0), (84, 0)]


def test_dense_clips_of_a_part_stay_inside_of_it():
  looks = evaluation.FixedLooks(4, 2, 2, clips=0, crops="centre")
  found = [s for s, _ in looks.cuts(evaluation.Part(0, 10, 31, 0), 4, 4)]
  assert found == [10, 17, 24]  # each reaches over 7 frames
  short = looks.cuts(evaluation.Part(0, 10, 13, 0), 4, 4)
  assert [start for start, _ in short] == [10]


@pytest.mark.parametrize(("clips", "crops", "count"), [(0, 5, 5), (3, 1, 1)])
def test_cutting(source, clips, crops, count):
  """Each clip has the very frames and the window that its row says."""
  name = {1: "centre", 5: "five"}[crops]
  looks = evaluation.FixedLooks(8, 1, 32, clips, name)
  cut = evaluation.CutParts(source, "scene", looks)
  video, batch = source[3], cut.map(3)
  whole = Window(0, 0, video.height, video.width)
  rows = iter(zip(batch["rows"].tolist(), batch["y"], batch["uv"], strict=True))
  assert str(batch["id"]) == video.id
  for part in evaluation.parts_of(3, video, "scene"):
    number = 0
    for start, windows in looks.cuts(part, video.height, video.width):
      indices = [
        part.first + (start - part.first + i) % (part.stop - part.first)
        for i in range(8)
      ]
      frames = video.read(indices, whole)
      assert len(windows) == count
      for top, left, height, width in windows:
        row, y, uv = next(rows)
        assert row == [*part, number]
        crop = frames.y[:, top : top + height, left : left + width]
        np.testing.assert_array_equal(y, crop)
        halves = [v // 2 for v in (top, top + height, left, left + width)]
        a, b, c, d = halves
        np.testing.assert_array_equal(uv, frames.uv[:, a:b, c:d])
        number += 1
  assert next(rows, None) is None


def test_random_clips_are_a_function_of_the_part():
  looks = evaluation.RandomLooks(8, 2, 32, clips=50, seed=1)
  part = evaluation.Part(5, 20, 60, 0)
  cuts = looks.cuts(part, 40, 50)
  assert cuts == looks.cuts(part, 40, 50)
  assert cuts != looks.cuts(part._replace(video=6), 40, 50)
  starts = [start for start, _ in cuts]
  assert min(starts) >= 20
  assert max(starts) + 15 <= 60
  assert len(set(starts)) > 10
  assert len({windows for _, windows in cuts}) > 10


@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
def test_rebatch_keeps_every_clip_once(batch_size):
  items = [{"y": np.arange(a, b)} for a, b in ((0, 5), (5, 6), (6, 17))]
  batches = list(evaluation.rebatch(iter(items), batch_size))
  assert all(len(batch["y"]) == batch_size for batch, _ in batches)
  real = [batch["y"][:count] for batch, count in batches]
  assert np.concatenate(real).tolist() == list(range(17))


class Divided:
  """A source with splits."""

  def __init__(self, source, names):
    fields = vars(source.index) | {"splits": {name: [(0, 2)] for name in names}}
    self.index = type(source.index)(**fields)


@pytest.mark.parametrize(
  ("splits", "folds", "want"),
  [
    ("train test", (), {"": ("train", "test")}),
    ("train test", (1, 2), {"": ("train", "test")}),
    (
      "train1 test1 train2 test2",
      (),
      {"1": ("train1", "test1"), "2": ("train2", "test2")},
    ),
    ("train1 test1 train2 test2", (2,), {"2": ("train2", "test2")}),
  ],
)
def test_split_names(source, splits, folds, want):
  config = small.config(data__folds=folds)
  divided = Divided(source, splits.split())
  assert evaluation.split_names(config, divided) == want


@pytest.mark.parametrize(
  ("splits", "folds", "message"),
  [
    ("train1 test1", (1, 2), "no split 'train2'.*it has test1, train1"),
    ("train val", (), "no split 'test'.*it has train, val"),
    ("train1 train2 test1", (), "no split 'test2'"),
  ],
)
def test_missing_splits(source, splits, folds, message):
  config = small.config(data__folds=folds)
  with pytest.raises(ConfigError, match=message):
    evaluation.split_names(config, Divided(source, splits.split()))


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("test__crops", "ten", "config.test.crops: 'ten' is not one of centre"),
    ("test__clips", -1, "config.test.clips=-1"),
    ("test__size", 41, "config.test.size=41 must be even"),
    ("test__size", 48, "short side of the frames, 40"),
    ("model__size", 44, "config.model.size=44"),
    ("data__frames", 0, "config.data.frames=0"),
  ],
)
def test_bad_looks(source, field, value, message):
  with pytest.raises(ConfigError, match=message):
    evaluation.fixed_looks(small.config(**{field: value}), source)
