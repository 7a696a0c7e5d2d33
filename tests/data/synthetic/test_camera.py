"""A camera over a scene, compared with OpenCV's warping."""

import itertools

import cv2
import numpy as np
import pytest

from hdc_jax.data.synthetic import camera as camera_lib
from hdc_jax.data.synthetic import videos
from hdc_jax.data.synthetic.scenes import paint_scene
from hdc_jax.data.synthetic.trajectories import CAMERA_MOTIONS, draw_trajectory
from hdc_jax.data.synthetic.worlds import CameraWorld

HEIGHT, WIDTH = 72, 96


def film(camera, scene):
  frames = np.empty((len(camera.poses), HEIGHT, WIDTH, 3), np.uint8)
  camera.film(scene, slice(None), frames)
  return frames


def test_frames_are_those_of_opencv():
  camera = CameraWorld(identity=1.0).draw(0, 6).camera
  scene = paint_scene(
    0, np.random.default_rng(0), camera.canvas, camera.canvas, HEIGHT
  )
  frames = film(camera, scene)
  middle = (camera.canvas - 1) / 2
  for t in range(0, len(frames), 8):
    x, y, zoom, angle = camera.poses[t]
    turned = cv2.getRotationMatrix2D((middle, middle), np.degrees(angle), 1)
    turned /= zoom
    # Where the scene's middle goes to.
    turned[:, 2] = np.array(((WIDTH - 1) / 2 - x, (HEIGHT - 1) / 2 - y)) - (
      turned[:, :2] @ (middle, middle)
    )
    expected = cv2.warpAffine(scene, turned, (WIDTH, HEIGHT))
    error = np.abs(frames[t].astype(int) - expected)
    # OpenCV rounds coordinates to 1/32 of a pixel.
    assert error.mean() < 1.5
    assert np.abs(expected.astype(int) - np.roll(expected, 1, 1)).mean() > 8


@pytest.mark.parametrize("identity", [0.0, 1.0])
def test_motion_can_be_seen(identity):
  """At stride 2, optical flow finds the true displacements."""
  world = CameraWorld(identity=identity, scenes=1, frames=16, height=48)
  correlations = []
  for index in range(64):
    video = world.draw(0, index)
    if CAMERA_MOTIONS[video.motion] not in ("horizontal", "vertical", "circle"):
      continue
    grey = videos.render(video)[::2].mean(axis=-1).astype(np.uint8)
    flow = [
      cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 15, 3, 5, 1.2, 0)
      for a, b in itertools.pairwise(grey)
    ]
    true = -np.diff(video.camera.poses[::2, :2], axis=0)
    seen = np.mean(flow, axis=(1, 2))
    correlations.append(np.corrcoef(seen.ravel(), true.ravel())[0, 1])
  assert np.mean(correlations) > 0.85


def test_points_are_where_they_are_seen():
  camera = CameraWorld(identity=1.0).draw(0, 6).camera
  row, column = camera.canvas // 2 - 9, camera.canvas // 2 + 5
  scene = np.zeros((camera.canvas, camera.canvas, 3), np.uint8)
  scene[row - 1 : row + 2, column - 1 : column + 2] = 255
  light = film(camera, scene)[..., 0].astype(float)
  rows, columns = np.mgrid[:HEIGHT, :WIDTH]
  point = np.array((column, row)) - (camera.canvas - 1) / 2
  placed = camera.place(point, slice(None), HEIGHT, WIDTH)
  total = light.sum(axis=(1, 2))
  seen = total > 0.9 * np.median(total)
  assert seen.sum() > 48
  x = (light * columns).sum(axis=(1, 2))[seen] / total[seen]
  y = (light * rows).sum(axis=(1, 2))[seen] / total[seen]
  np.testing.assert_allclose(x, placed[seen, 0], atol=0.1)
  np.testing.assert_allclose(y, placed[seen, 1], atol=0.1)


@pytest.mark.parametrize("identity", [0.0, 1.0])
def test_the_scene_is_larger_than_all_that_is_seen(identity):
  for index in range(16):
    camera = CameraWorld(identity=identity).draw(3, index).camera
    scene = np.full((camera.canvas, camera.canvas, 3), 255, np.uint8)
    assert film(camera, scene).min() == 255


@pytest.mark.parametrize("moving", [0.0, 0.1, 0.5, 0.8, 1.0])
def test_the_disc_covers_its_share_of_the_frame(moving):
  shares = []
  for index in range(64):
    camera = CameraWorld(moving=moving).draw(0, index).camera
    shares.append(camera.patch(slice(0, None, 8), HEIGHT, WIDTH).mean())
  assert abs(np.mean(shares) - moving) < 0.03


def test_the_disc_does_not_show_the_motion():
  radii = {
    camera_lib.disc_radius(
      draw_trajectory(motion, 1.0, np.random.default_rng(0)), 0.3, 72, 96
    )
    for motion in range(8)
  }
  assert len(radii) == 1


def test_around_the_disc_nothing_moves():
  camera = CameraWorld(moving=0.3, scenes=1).draw(0, 3).camera
  scene = paint_scene(
    1, np.random.default_rng(0), camera.canvas, camera.canvas, HEIGHT
  )
  frames = film(camera, scene).astype(int)
  share = camera.patch(slice(None), HEIGHT, WIDTH)
  outside = np.max(share, axis=0) == 0
  inside = np.min(share[1:] * share[:-1], axis=0) == 1
  assert outside.sum() > 500
  assert np.ptp(frames[:, outside], axis=0).max() == 0
  assert inside.any()
  assert np.abs(np.diff(frames, axis=0))[:, inside].mean() > 8
