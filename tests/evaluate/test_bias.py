"""Similarities by loops, shares by hand, and donors by their rule."""

import itertools

import numpy as np
import pytest

from hdc_jax.data.labels.segments import Segment
from hdc_jax.evaluate import bias
from tests.data.clips import generated


def cosine(a, b):
  lengths = np.sqrt(a @ a) * np.sqrt(b @ b)
  return a @ b / lengths if lengths else 0.0


def test_cosines():
  rng = np.random.default_rng(0)
  first, second = rng.normal(size=(2, 5, 3))
  second[3] = 0
  want = [cosine(a, b) for a, b in zip(first, second, strict=True)]
  got = bias.cosines(np.float32(first), np.float32(second))
  assert got.dtype == np.float64
  np.testing.assert_allclose(got, want, atol=1e-6)


def test_the_mean_of_others_is_that_of_all_pairs_of_videos():
  rng = np.random.default_rng(1)
  vectors, videos = rng.normal(size=(9, 4)) + 0.5, [3, 3, 5, 1, 1, 1, 7, 8, 5]
  vectors[6] = 0
  want = [
    cosine(vectors[i], vectors[j])
    for i, j in itertools.combinations(range(9), 2)
    if videos[i] != videos[j]
  ]
  got = bias.mean_of_others(vectors, np.array(videos))
  assert got == pytest.approx(np.mean(want))


@pytest.mark.parametrize(
  ("exchanged", "frozen", "reference", "want"),
  [
    (1.0, 0.2, 0.2, 1.0),  # motion alone
    (0.2, 1.0, 0.2, 0.0),  # the scene alone
    (0.1, 0.9, 0.2, 0.0),  # also if it is less alike than others
    (0.8, 0.8, 0.6, 0.5),
    (0.7, 0.9, 0.6, 0.25),
  ],
)
def test_the_share_of_the_motion(exchanged, frozen, reference, want):
  assert bias.motion_share(exchanged, frozen, reference) == pytest.approx(want)


def test_without_any_similarity_there_is_no_share():
  assert np.isnan(bias.motion_share(0.1, 0.2, 0.2))


def video(number, motion, scenes, group="", tags=()):
  return generated.Video(
    str(number),
    labels={"motion": ((0, motion),), "scene": scenes},
    tags={"things": tags},
    group=group,
  )


def test_a_donor_shares_nothing():
  """No class of any label or tag, and not the group; nor is it the video."""
  rng = np.random.default_rng(0)
  videos = [
    video(
      i,
      int(rng.integers(4)),
      ((0, int(rng.integers(5))), (50, int(rng.integers(5)))),
      group=str(i % 7),
      tags=tuple(rng.choice(6, 2, replace=False).tolist()),
    )
    for i in range(60)
  ]
  segments = [
    Segment(i, first, first + 50, v.labels["scene"][first > 0][1])
    for i, v in enumerate(videos)
    for first in (0, 50)
  ]
  source = generated.Source(videos)
  donors = bias.find_donors(source, segments)
  assert list(donors) != segments and set(donors) == set(segments)
  for segment, donor in donors.items():
    own, other = videos[segment.video], videos[donor.video]
    assert donor in segments and own is not other
    assert own.labels["motion"] != other.labels["motion"]
    assert segment.label != donor.label
    assert own.group != other.group
    assert not set(own.tags["things"]) & set(other.tags["things"])
  assert bias.find_donors(source, segments) == donors
  # Many different ones.
  assert len(set(donors.values())) > 30


def test_whole_videos_show_all_of_their_scenes():
  """The third has the only motion and the only scenes that are others."""
  videos = [
    video(0, 0, ((0, 0), (50, 1))),
    video(1, 1, ((0, 1), (50, 2))),
    video(2, 2, ((0, 2), (50, 3))),
  ]
  segments = [Segment(i, 0, 100, i) for i in range(3)]
  donors = bias.find_donors(generated.Source(videos), segments)
  assert donors[segments[0]].video == 2 and donors[segments[2]].video == 0


def test_the_donor_of_few_videos_shares_the_least():
  videos = [video(i, 0, ((0, i // 2),)) for i in range(4)]
  segments = [Segment(i, 0, 100, 0) for i in range(4)]
  donors = bias.find_donors(generated.Source(videos), segments)
  for segment, donor in donors.items():
    assert segment.video // 2 != donor.video // 2


def test_the_donor_is_never_the_video_itself():
  """Even if its other scene is another class."""
  labels = {"scene": ((0, 0), (50, 1))}
  videos = [generated.Video(str(i), labels=labels) for i in range(6)]
  segments = [
    Segment(i, 50 * j, 50 * j + 50, j) for i in range(6) for j in (0, 1)
  ]
  donors = bias.find_donors(generated.Source(videos), segments)
  for segment, donor in donors.items():
    assert segment.video != donor.video and segment.label != donor.label
