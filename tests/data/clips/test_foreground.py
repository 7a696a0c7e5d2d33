"""The foreground, against loops over pixels and against true outlines."""

import numpy as np
import pytest

from benchmarks import bench_masks
from hdc_jax.data import sources
from hdc_jax.data.clips import foreground
from hdc_jax.data.video.frames import Frames


def clip(seed, frames=5, height=12, width=16):
  """Noise, nearly the same in all frames, and a brighter square that moves."""
  rng = np.random.default_rng(seed)
  y = rng.integers(0, 4, (frames, height, width)).astype(np.uint8)
  y += rng.integers(90, 120, (1, height, width)).astype(np.uint8)
  for t in range(frames):
    y[t, 2:9, 2 * t : 2 * t + 7] = 200
  shape = (frames, height // 2, width // 2, 2)
  return Frames(y, rng.integers(16, 241, shape).astype(np.uint8))


def median_of(values):
  """The median, rounded half to even."""
  ordered, half = sorted(values), len(values) // 2
  if len(values) % 2:
    return ordered[half]
  return round((int(ordered[half - 1]) + int(ordered[half])) / 2)


@pytest.mark.parametrize("frames", [3, 4, 5])
def test_the_median_frame(frames):
  made = clip(0, frames)
  got = foreground.background(made)
  for plane, median in zip(made, got, strict=True):
    assert (median.dtype, median.shape) == (np.uint8, (1, *plane.shape[1:]))
    for place in np.ndindex(plane.shape[1:]):
      assert median[0][place] == median_of(plane[:, *place].tolist())


def test_shots():
  """One cut, however much moves; none where all frames differ alike."""
  made = clip(0, frames=6).y
  assert foreground.shots(made) == [slice(0, 6)]
  cut = np.concatenate([made[:4], 255 - made[4:]])
  assert foreground.shots(cut) == [slice(0, 4), slice(4, 6)]
  rng = np.random.default_rng(0)
  all_differ = rng.integers(0, 256, (6, 12, 16)).astype(np.uint8)
  assert foreground.shots(all_differ) == [slice(0, 6)]
  flicker = (
    made // 2 + np.uint8(12) * np.arange(6, dtype=np.uint8)[:, None, None]
  )
  assert foreground.shots(flicker) == [slice(0, 6)]


def test_each_shot_has_its_own_background():
  """What moves is found on both sides of a cut, and the rest is exchanged."""
  first, second = clip(0, frames=5), clip(1, frames=4)
  second = Frames(second.y // 2 + 128, second.uv)
  joined = Frames(*map(np.concatenate, zip(first, second, strict=True)))
  assert foreground.shots(joined.y) == [slice(0, 5), slice(5, 9)]
  want = [reference_foreground(each.y, 12.0) for each in (first, second)]
  got = foreground.foreground(joined, 12.0)
  np.testing.assert_array_equal(got, np.concatenate(want))
  for plane, longest in zip(
    foreground.background(joined), foreground.background(first), strict=True
  ):
    np.testing.assert_array_equal(plane, longest)


def reference_foreground(y, threshold):
  """By loops: a threshold, the majority of 3×3 pixels, and filled holes."""
  frames, height, width = y.shape
  median = np.sort(y.astype(float), axis=0)
  median = (median[(frames - 1) // 2] + median[frames // 2]) / 2
  masks = []
  for frame in y.astype(float):
    # The border repeats its pixels.
    differs = np.pad(abs(frame - median) > threshold, 1, mode="symmetric")
    major = np.zeros((height, width), bool)
    for i, j in np.ndindex(height, width):
      major[i, j] = differs[i : i + 3, j : j + 3].sum() >= 5
    # What is reached from outside, from side to side, is no hole.
    outside = {
      (i, j) for i in range(-1, height + 1) for j in range(-1, width + 1)
    }
    outside -= {(int(i), int(j)) for i, j in zip(*major.nonzero(), strict=True)}
    reached, edge = {(-1, -1)}, [(-1, -1)]
    while edge:
      i, j = edge.pop()
      beside = {(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)}
      edge += (beside & outside) - reached
      reached |= beside & outside
    holes = outside - reached
    for i, j in holes:
      major[i, j] = True
    masks.append(major)
  return np.stack(masks)


@pytest.mark.parametrize("threshold", [12.0, 20.5])
@pytest.mark.parametrize("seed", range(3))
def test_the_foreground(seed, threshold):
  made = clip(seed, frames=4 + seed)
  got = foreground.foreground(made, threshold)
  want = reference_foreground(made.y, threshold)
  assert 0.05 < want.mean() < 0.6
  np.testing.assert_array_equal(got, want)


def test_holes_are_filled_and_specks_removed():
  """A ring is filled; what is open to the border of the picture is not."""
  y = np.full((5, 16, 20), 100, np.uint8)
  y[2, 2:10, 2:10] = y[2, 8:, 12:18] = 200
  y[2, 4:8, 4:8] = y[2, 11:, 14:16] = 100
  y[3, 5, 5] = 200
  got = foreground.foreground(Frames(y, np.zeros((5, 8, 10, 2))), 12.0)
  want = reference_foreground(y, 12.0)
  np.testing.assert_array_equal(got, want)
  assert got[2, 3:9, 3:9].all() and not got[2, 12:, 15].any()
  assert not got[[0, 1, 3, 4]].any()


@pytest.mark.parametrize("still", [True, False], ids=["picture", "frames"])
def test_exchanging_the_background(still):
  made, other = clip(0), clip(1)
  if still:
    other = Frames(*(plane[:1] for plane in other))
  got = foreground.exchange_background(made, other, 12.0)
  mask = reference_foreground(made.y, 12.0)
  for t, i, j in np.ndindex(made.y.shape):
    behind = other.y[0 if still else t, i, j]
    assert got.y[t, i, j] == (made.y[t, i, j] if mask[t, i, j] else behind)
  for t, i, j, c in np.ndindex(made.uv.shape):
    share = mask[t, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean()
    before, behind = (
      int(made.uv[t, i, j, c]),
      int(other.uv[0 if still else t, i, j, c]),
    )
    mixed = share * before + (1 - share) * behind
    assert got.uv[t, i, j, c] == int(np.floor(mixed + 0.5))
  assert got.y.dtype == got.uv.dtype == np.uint8


def test_the_object_of_generated_videos_is_found(prepared):
  """Frames of 40 pixels; docs/evaluation.md has the figures of 72 pixels."""
  counts = bench_masks.count(
    sources.open(prepared), bench_masks.Masks().threshold, frames=8, stride=2
  )
  travelling = sum(counts[name] for name in bench_masks.TRAVELLING)
  got = bench_masks.rates(travelling)
  assert got["IoU"] > 70 and got["precision"] > 80 and got["recall"] > 80
  # What does not move is no foreground.
  assert bench_masks.rates(counts["rest"])["foreground"] < 0.1


def test_true_outlines_are_those_of_the_pictures():
  """Where the picture is not that of the scene alone, at full size."""
  video = bench_masks.synthetic.draw(0, 4)
  shown = bench_masks.synthetic.render(video)
  cut = video.scenes[1].first_frame
  indices = np.arange(cut)
  masks = bench_masks.true_masks(video, indices, video.height, video.width)
  scene = np.median(shown[:cut], axis=0)
  differs = (shown[:cut] != scene).any(axis=-1)
  # Of the border, parts of pixels are covered.
  inner = masks & np.roll(masks, 1, 1) & np.roll(masks, -1, 1)
  inner &= np.roll(masks, 1, 2) & np.roll(masks, -1, 2)
  seen = np.median(masks, axis=0) == 0  # the median shows the scene
  assert differs[inner & seen].mean() > 0.99
  assert masks[:, seen].sum() > 100
