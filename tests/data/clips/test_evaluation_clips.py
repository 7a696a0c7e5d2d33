"""Clips are those of their addresses, and none is lost."""

import numpy as np
import pytest

from hdc_jax.data import sources
from hdc_jax.data.clips import evaluation_clips
from hdc_jax.data.clips.placement import FixedPlacement, RandomPlacement
from hdc_jax.data.labels.segments import segments_of
from hdc_jax.data.video.codec import Window


@pytest.fixture(scope="module")
def source(prepared):
  return sources.open(prepared)


@pytest.mark.parametrize(("clips", "crops", "count"), [(0, 5, 5), (3, 1, 1)])
def test_cutting(source, clips, crops, count):
  """Each clip has the very frames and the window that its address says."""
  name = {1: "centre", 5: "five"}[crops]
  placement = FixedPlacement(8, 1, 32, clips, name)
  cut = evaluation_clips.CutSegments(source, "scene", placement)
  video, batch = source[3], cut.map(3)
  whole = Window(0, 0, video.height, video.width)
  columns = (batch[name] for name in evaluation_clips.ADDRESS)
  found = zip(zip(*columns, strict=True), batch["y"], batch["uv"], strict=True)
  assert str(batch["id"]) == video.id
  for segment in segments_of(3, video, "scene"):
    first, length = segment.first, segment.stop - segment.first
    number = 0
    for start, windows in placement.cuts(segment, video.height, video.width):
      indices = [first + (start - first + i) % length for i in range(8)]
      frames = video.read(indices, whole)
      assert len(windows) == count
      for top, left, height, width in windows:
        address, y, uv = next(found)
        assert address == (*segment, number)
        crop = frames.y[:, top : top + height, left : left + width]
        np.testing.assert_array_equal(y, crop)
        halves = [v // 2 for v in (top, top + height, left, left + width)]
        a, b, c, d = halves
        np.testing.assert_array_equal(uv, frames.uv[:, a:b, c:d])
        number += 1
  assert next(found, None) is None


@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
def test_rebatch_keeps_every_clip_once(batch_size):
  items = [{"y": np.arange(a, b)} for a, b in ((0, 5), (5, 6), (6, 17))]
  batches = list(evaluation_clips.rebatch(iter(items), batch_size))
  assert all(len(batch["y"]) == batch_size for batch in batches)
  real = [batch["y"][batch["mask"]] for batch in batches]
  assert np.concatenate(real).tolist() == list(range(17))
  for batch in batches[:-1]:
    assert batch["mask"].all()


def test_canvases_hold_whole_frames(source):
  """As in pretraining, a frame that is smaller is padded, not cropped."""
  placement = RandomPlacement(8, 1, 64, clips=2, seed=0, padded=True)
  cut = evaluation_clips.CutSegments(source, "motion", placement)
  video, batch = source[3], cut.map(3)
  height, width = video.height, video.width
  assert max(height, width) <= 64 and min(height, width) < 64
  assert batch["y"].shape == (2, 8, 64, 64)
  np.testing.assert_array_equal(batch["extent"], [[height, width]] * 2)
  for y, uv in zip(batch["y"], batch["uv"], strict=True):
    assert y[:, :height, :width].min() > 0  # limited range begins at 16
    assert not y[:, height:].any() and not y[:, :, width:].any()
    assert not uv[:, height // 2 :].any() and not uv[:, :, width // 2 :].any()


@pytest.mark.parametrize(
  "placement",
  [
    FixedPlacement(8, 1, 32, 1, "centre"),
    RandomPlacement(8, 1, 64, clips=2, seed=0, padded=True),
  ],
  ids=["fixed", "padded"],
)
def test_padding_is_a_batch_of_nothing(source, placement):
  cut = evaluation_clips.CutSegments(source, "scene", placement).map(3)
  for name in evaluation_clips.ABOUT:  # which are for no device
    del cut[name]
  (real,) = evaluation_clips.rebatch(iter([cut]), 16)
  padding = evaluation_clips.padding(placement, 16)
  assert padding.keys() == real.keys()
  for name, array in padding.items():
    assert (array.shape, array.dtype) == (real[name].shape, real[name].dtype)
  assert real["mask"].any() and not padding["mask"].any()
