"""Clips are those of their rows, and none is lost."""

import numpy as np
import pytest
from hdc_jax.data.clips.test_clips import FixedLooks

from hdc_jax.data import sources
from hdc_jax.data.clips import evaluation
from hdc_jax.data.labels.segments import parts_of
from hdc_jax.data.video.codec import Window


@pytest.fixture(scope="module")
def source(prepared):
  return sources.open(prepared)


@pytest.mark.parametrize(("clips", "crops", "count"), [(0, 5, 5), (3, 1, 1)])
def test_cutting(source, clips, crops, count):
  """Each clip has the very frames and the window that its row says."""
  name = {1: "centre", 5: "five"}[crops]
  looks = FixedLooks(8, 1, 32, clips, name)
  cut = evaluation.CutParts(source, "scene", looks)
  video, batch = source[3], cut.map(3)
  whole = Window(0, 0, video.height, video.width)
  rows = iter(zip(batch["rows"].tolist(), batch["y"], batch["uv"], strict=True))
  assert str(batch["id"]) == video.id
  for part in parts_of(3, video, "scene"):
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


@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
def test_rebatch_keeps_every_clip_once(batch_size):
  items = [{"y": np.arange(a, b)} for a, b in ((0, 5), (5, 6), (6, 17))]
  batches = list(evaluation.rebatch(iter(items), batch_size))
  assert all(len(batch["y"]) == batch_size for batch, _ in batches)
  real = [batch["y"][:count] for batch, count in batches]
  assert np.concatenate(real).tolist() == list(range(17))
