"""Each condition, byte for byte, against a reference of its own."""

import math

import numpy as np
import pytest

from hdc_jax.data.clips import conditions, evaluation_clips, foreground
from hdc_jax.data.clips.conditions import CONDITIONS, Change
from hdc_jax.data.clips.placement import FixedPlacement
from hdc_jax.data.labels.segments import Segment
from hdc_jax.data.video.frames import Frames
from tests.data.clips import generated

SEGMENT, OTHER = Segment(3, 0, 50, 1), Segment(7, 10, 90, 2)
FRAMES = 5


def clip(seed, height=12, width=16):
  """Still noise, before which a square moves."""
  rng = np.random.default_rng(seed)
  y = rng.integers(16, 100, (1, height, width)).astype(np.uint8)
  y = y.repeat(FRAMES, axis=0)
  for t in range(FRAMES):
    y[t, 2:9, 2 * t : 2 * t + 6] = 150 + 10 * t
  shape = (FRAMES, height // 2, width // 2, 2)
  return Frames(y, rng.integers(16, 241, shape).astype(np.uint8))


CLIPS, OTHERS = [clip(i) for i in range(3)], [clip(10 + i) for i in range(2)]


def apply(condition, clips=CLIPS, segment=SEGMENT):
  """The clips under a condition; the donor of the segment is OTHER."""

  def cut(wanted):
    assert wanted == OTHER
    return OTHERS

  return Change(condition, 12.0, {segment: OTHER}).apply(clips, segment, cut)


def reference_stripes(segment, height, width):
  """By loops, of the draws in the order that the docstring gives them."""
  rng = np.random.default_rng((0, segment.video, segment.first))
  angle, phase = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi)
  wavelength = height * math.exp(rng.uniform(math.log(0.1), math.log(0.4)))
  dark, light = rng.uniform(16, 96), rng.uniform(160, 235)
  colours = [[rng.uniform(80, 176) for _ in range(2)] for _ in range(2)]

  def share(y, x):
    along = math.cos(angle) * x + math.sin(angle) * y
    return 0.5 + 0.5 * math.sin(2 * math.pi * along / wavelength + phase)

  luma = [
    [dark + share(y, x) * (light - dark) for x in range(width)]
    for y in range(height)
  ]
  chroma = [
    [
      [
        first + share(2 * y + 0.5, 2 * x + 0.5) * (second - first)
        for first, second in zip(*colours, strict=True)
      ]
      for x in range(width // 2)
    ]
    for y in range(height // 2)
  ]
  return Frames(
    np.rint(luma).astype(np.uint8)[None], np.rint(chroma).astype(np.uint8)[None]
  )


def before(background, made):
  return foreground.exchange_background(made, background, 12.0)


def shown(*order):
  return lambda i: Frames(*(plane[list(order)] for plane in CLIPS[i]))


# The order of shuffled frames is that of the segment's seed.
SHUFFLED = np.random.default_rng((0, 3, 0)).permutation(FRAMES).tolist()
REFERENCES = {
  # The donor has two clips: the third clip takes the first again.
  "background": lambda i: before(
    foreground.background(OTHERS[(0, 1, 0)[i]]), CLIPS[i]
  ),
  "stripes": lambda i: before(reference_stripes(SEGMENT, 12, 16), CLIPS[i]),
  "frozen": shown(2, 2, 2, 2, 2),
  "reversed": shown(4, 3, 2, 1, 0),
  "shuffled": shown(*SHUFFLED),
  "every second": shown(0, 0, 2, 2, 4),
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_condition(condition):
  got = apply(condition)
  assert len(got) == len(CLIPS)
  for i, made in enumerate(got):
    for plane, want in zip(made, REFERENCES[condition](i), strict=True):
      assert plane.dtype == np.uint8
      np.testing.assert_array_equal(plane, want)


def test_there_is_a_reference_for_each():
  assert tuple(REFERENCES) == CONDITIONS
  assert sorted(SHUFFLED) == list(range(FRAMES)) != SHUFFLED


@pytest.mark.parametrize("condition", ["stripes", "shuffled"])
def test_what_is_random_depends_on_the_segment_alone(condition):
  first = apply(condition)
  again = apply(condition, clips=CLIPS[::-1])[::-1]
  for made, same in zip(first, again, strict=True):
    np.testing.assert_array_equal(made.y, same.y)
  others = [
    apply(condition, segment=Segment(*place, 50, 1))[0].y
    for place in ((3, 0), (4, 0), (3, 8), (9, 4), (1, 1))
  ]
  assert len({other.tobytes() for other in others}) > 2


def test_stripes_are_light_and_dark():
  for seed in range(20):
    y, uv = conditions.paint_stripes(np.random.default_rng(seed), 48, 64)
    assert 16 <= y.min() < 100 and 155 < y.max() <= 235
    assert uv.min() >= 80 and uv.max() <= 176


def test_clips_of_a_dataset():
  """Clips are cut, and their background is that of the donor's clips."""
  source = generated.Source(
    [generated.Video("a"), generated.Video("b", ramp=True)]
  )
  placement = FixedPlacement(4, 2, 4, 2, "centre")
  first, second = (Segment(i, 0, 100, -1) for i in range(2))
  change = Change("background", 300.0, {first: second})
  cut = evaluation_clips.CutSegments(source, "", placement, change)
  # Nothing differs by 300 levels: all is background.
  ramp = np.rint(20 + 200 * (np.arange(4) + 0.5) / 4)
  got = cut.map(0)
  np.testing.assert_array_equal(
    got["y"], np.broadcast_to(ramp, (2, 4, 4, 4)).astype(np.uint8)
  )
  plain = evaluation_clips.CutSegments(source, "", placement).map(0)
  assert got.keys() == plain.keys()
  for name in evaluation_clips.ADDRESS:
    np.testing.assert_array_equal(got[name], plain[name])
