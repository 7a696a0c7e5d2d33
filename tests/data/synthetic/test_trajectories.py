"""Motions of a camera: what they look like, and what hides them."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from hdc_jax.data.synthetic import trajectories
from hdc_jax.data.synthetic.trajectories import CAMERA_MOTIONS
from tests.data.synthetic import leaks

NUMBERS = ("period", "radius", "zoom", "turn", "shake")


def trajectory(motion, identity=0.0, seed=0):
  rng = np.random.default_rng((seed, motion))
  return trajectories.draw_trajectory(motion, identity, rng)


def name_motion(poses):
  """Tells the motion from the true poses `[T, 4]`, by its definition."""
  x, y, zoom, angle = np.ptp(poses, axis=0) > 1e-6
  steps = np.diff(poses[:, :2], axis=0)
  if zoom or angle:
    return "spiral" if zoom and angle else "zoom" if zoom else "turn"
  if x and y:
    if np.linalg.matrix_rank(steps, tol=1e-6) == 1:
      return "diagonal"
    speeds = np.linalg.norm(steps, axis=1)
    return "circle" if np.ptp(speeds) < 1e-6 else "shake"
  return "horizontal" if x else "vertical"


@pytest.mark.parametrize("identity", [0, 1])
def test_motions_are_what_they_say_and_survive_a_flip(identity):
  assert len(set(CAMERA_MOTIONS)) == len(CAMERA_MOTIONS) == leaks.CLASSES
  for seed in range(16):
    for motion, name in enumerate(CAMERA_MOTIONS):
      rng = np.random.default_rng(seed)
      drawn = trajectory(motion, identity, seed)
      poses = trajectories.draw_poses(drawn, rng, 24)
      assert name_motion(poses) == name
      # A flip of the frame mirrors the scene, and with it x and the angle.
      assert name_motion(poses * (-1, 1, 1, -1)) == name


def test_16_frames_hold_a_whole_period():
  for motion, name in enumerate(CAMERA_MOTIONS):
    if name == "shake":
      continue
    for identity in (0, 1):
      drawn = dataclasses.replace(
        trajectory(motion, identity, 1), centre=(0.0, 0.0)
      )
      assert drawn.period <= 16
      poses = trajectories.draw_poses(drawn, np.random.default_rng(2), 400)
      # The furthest that it gets in a period is the furthest that it gets.
      clips = np.lib.stride_tricks.sliding_window_view(poses, 16, axis=0)
      moving = np.ptp(poses, axis=0) > 1e-6
      share = np.ptp(clips, axis=2)[:, moving] / np.ptp(poses, axis=0)[moving]
      assert share.min() > 0.9


def test_no_instant_of_a_pose_tells_the_motion():
  count = 4096
  videos, motions = np.arange(count), np.arange(count) % leaks.CLASSES
  shared = [trajectory(motion) for motion in range(leaks.CLASSES)]
  poses = np.empty((count, 4))
  for index in range(count):
    rng = np.random.default_rng(index)
    drawn = trajectories.draw_poses(shared[motions[index]], rng, 20)
    poses[index] = rng.choice(drawn)
  poses[:, 3] %= 2 * np.pi
  for motion in range(leaks.CLASSES):
    here, elsewhere = poses[motions == motion], poses[motions != motion]
    assert np.all(stats.ks_2samp(here, elsewhere).pvalue > 1e-4)
  some = videos < 1024
  found = leaks.accuracy(poses[some], motions[some], videos[some])
  assert found < leaks.bound(1024)


@pytest.mark.parametrize("identity", [0, 0.5, 1])
def test_identity_is_how_much_trajectories_differ(identity):
  for motion in range(leaks.CLASSES):
    drawn = [trajectory(motion, identity, seed) for seed in range(300)]
    for name in NUMBERS:
      shared, (least, most) = getattr(trajectories, name.upper())
      values = [getattr(one, name) for one in drawn]
      assert min(values) >= shared + identity * (least - shared)
      assert max(values) <= shared + identity * (most - shared)
      # All of the scaled range is used.
      assert np.ptp(values) >= 0.95 * identity * (most - least)
    centres = np.array([one.centre for one in drawn])
    assert np.all(np.ptp(centres, axis=0) <= identity * 0.2)
    assert np.all(np.ptp(centres, axis=0) >= identity * 0.19)
    senses = np.array([one.sense for one in drawn])
    # Half of those that are drawn are the other one.
    assert abs(np.mean(senses == -1) - identity / 2) < 0.1
    assert identity or len(set(drawn)) == 1


def test_motion_decides_nothing_but_the_motion():
  def numbers(motion):
    rng = np.random.default_rng(4)
    drawn = trajectories.draw_trajectory(motion, 1.0, rng)
    return dataclasses.replace(drawn, motion=0)

  assert len({numbers(motion) for motion in range(leaks.CLASSES)}) == 1
