"""The world of the camera: what its options promise, measured."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import ndimage

from hdc_jax.data.synthetic import videos, worlds
from hdc_jax.data.synthetic.worlds import CameraWorld
from hdc_jax.errors import ConfigError
from tests.data.synthetic import leaks

BLOCK = 64  # videos in which motions and scenes balance
SMALL = {"height": 32, "frames": 32, "scenes": 2}


def frame_of(video, t):
  """Renders one frame of a video."""
  scene = [scene for scene in video.scenes if scene.first_frame <= t][-1]
  objects = [
    dataclasses.replace(
      thing, poses=thing.poses[t - thing.first_frame][None], first_frame=0
    )
    for thing in video.objects
    if thing.first_frame == scene.first_frame
  ]
  still = dataclasses.replace(
    video,
    scenes=(dataclasses.replace(scene, first_frame=0),),
    objects=tuple(objects),
    num_frames=1,
    camera=dataclasses.replace(video.camera, poses=video.camera.poses[t][None]),
  )
  return videos.render(still)[0]


def test_one_frame_of_a_video():
  video = CameraWorld(**SMALL, moving=0.5).draw(0, 0)
  frames = videos.render(video)
  for t in (0, 9, 31):
    np.testing.assert_array_equal(frame_of(video, t), frames[t])


def test_files_depend_on_options_seed_and_index_only(tmp_path):
  def data(seed, index, **options):
    world = CameraWorld(**SMALL | options)
    videos.write(world.draw(seed, index), tmp_path / "video.mp4")
    return (tmp_path / "video.mp4").read_bytes()

  first = data(1, 5)
  assert data(1, 5) == first
  others = [data(1, 13), data(2, 5), data(1, 5, identity=0.5)]
  others += [data(1, 5, moving=0.5), data(1, 5, shared_scene=1)]
  assert first not in others


def test_object_world_is_as_it_was():
  """Its videos are drawn with the same random numbers as ever."""
  video = worlds.make("object", {}).draw(0, 4)
  assert [(s.first_frame, s.family) for s in video.scenes] == [(0, 0), (31, 5)]
  assert video.objects[0].shape == "arrow"
  np.testing.assert_allclose(
    video.objects[0].poses[0], (47.49887, 25.16681, 9.65368, 5.00712), atol=1e-4
  )
  frames = videos.render(video)
  assert frames.mean() == pytest.approx(140.5607, abs=1e-3)
  assert frames.std() == pytest.approx(52.3191, abs=1e-3)


@pytest.mark.parametrize("block", [0, 3])
def test_motions_and_scenes_are_balanced(block):
  world = CameraWorld()
  drawn = [world.draw(5, BLOCK * block + i) for i in range(BLOCK)]
  for number in range(4):
    pairs = {(video.motion, video.scenes[number].family) for video in drawn}
    assert len(pairs) == BLOCK
  assert [video.motion for video in drawn[8:16]] == list(range(8))


def test_labels_are_segments_within_the_video():
  cuts = set()
  for index in range(200):
    video = CameraWorld().draw(0, index)
    starts = [scene.first_frame for scene in video.scenes]
    assert starts[0] == 0
    assert min(np.diff([*starts, 96])) >= worlds.MIN_SCENE_FRAMES
    cuts.update(starts)
    assert video.labels == {
      "motion": ((0, video.motion),),
      "scene": tuple((s.first_frame, s.family) for s in video.scenes),
    }
  assert cuts == {0, *range(16, 81)}


@pytest.mark.parametrize("shared", [0, 0.5, 1])
def test_shared_scene_is_how_often_a_cut_returns(shared):
  world = CameraWorld(shared_scene=shared)
  returns = []
  for index in range(200):
    video = world.draw(0, index)
    first, *later = video.scenes
    returns += [(s.family, s.seed) == (first.family, first.seed) for s in later]
    others = [s.family for s in later if s.seed != first.seed]
    assert len({first.family, *others}) == 1 + len(others)
    segments = video.labels["scene"]
    assert segments[0] == (0, first.family)
    assert all(a[1] != b[1] for a, b in itertools.pairwise(segments))
    assert len(segments) == 1 or shared < 1
  error = 3 * np.sqrt(shared * (1 - shared) / len(returns))
  assert abs(np.mean(returns) - shared) <= error


@pytest.mark.parametrize("identity", [0, 0.5, 1])
def test_identity_is_how_often_motion_goes_on_through_a_cut(identity):
  world = CameraWorld(identity=identity)
  goes_on = []
  for index in range(200):
    video = world.draw(1, index)
    if worlds.CAMERA_MOTIONS[video.motion] == "shake":
      continue
    steps = np.abs(np.diff(video.camera.poses, axis=0))
    cuts = [scene.first_frame - 1 for scene in video.scenes[1:]]
    within = np.delete(steps, cuts, axis=0).max(axis=0)
    # Of the steps of a motion, those at cuts need not be among the largest.
    goes_on += [bool(np.all(steps[cut] <= 1.1 * within + 1e-6)) for cut in cuts]
  error = 3 * np.sqrt(identity * (1 - identity) / len(goes_on))
  assert abs(np.mean(goes_on) - identity) <= error


def test_what_moves():
  """All of the picture, a disc of it, or the objects."""
  still = {}
  for moving in (0, 0.5, 1):
    world = CameraWorld(moving=moving, height=48, frames=32, scenes=2)
    shares = []
    for index in range(8):
      video = world.draw(0, index)
      frames = videos.render(video)[: video.scenes[1].first_frame].astype(int)
      shares.append(np.mean(np.ptp(frames, axis=0).max(axis=-1) < 16))
    still[moving] = np.mean(shares)
  assert still[1] < 0.02
  assert 0.15 < still[0.5] < 0.5
  assert still[0] > 0.6


@pytest.mark.parametrize("moving", [0.0, 0.5, 1.0])
def test_foreground_is_what_hides_the_scene(moving):
  video = CameraWorld(moving=moving, frames=32, scenes=2).draw(0, 3)
  covered = videos.foreground(video)
  frames = videos.render(video).astype(int)
  still = dataclasses.replace(video.camera, radius=min(video.camera.radius, 0))
  bare = videos.render(
    dataclasses.replace(
      video, objects=(), camera=video.camera if moving == 1 else still
    )
  )
  differs = np.abs(frames - bare).sum(axis=-1) > 24
  assert covered.shape == frames.shape[:3]
  # A border covers pixels in part. Where they happen to look alike, the
  # foreground does not show.
  wider = ndimage.binary_dilation(covered, np.ones((1, 3, 3)))
  assert np.mean(wider[differs]) > 0.99
  assert np.mean(differs[covered]) > 0.7


def test_foreground_of_the_object_world():
  video = worlds.make("object", {}).draw(0, 2)
  covered = videos.foreground(video)
  bare = videos.render(dataclasses.replace(video, objects=()))
  differs = np.any(videos.render(video) != bare, axis=-1)
  assert np.mean(differs[covered]) > 0.98
  wider = ndimage.binary_dilation(covered, np.ones((1, 3, 3)))
  assert np.mean(wider[differs]) > 0.99


@pytest.mark.parametrize(
  "name, options, message",
  [
    ("camera", {"identity": 1.5}, "--identity=1.5 must be at most 1"),
    ("camera", {"moving": -1.0}, "--moving=-1.0 must be at least 0"),
    ("camera", {"height": 71}, "--height=71 must be a multiple of 2"),
    ("camera", {"scenes": 7}, "--frames=96 must be at least 112: 16 for each"),
    ("object", {"scenes": 4}, "--scenes is of no use to --world=object"),
  ],
)
def test_impossible_options_are_refused(name, options, message):
  with pytest.raises(ConfigError) as error:
    worlds.make(name, options)
  assert message in str(error.value)


# --- Decoupling -------------------------------------------------------------


@pytest.mark.parametrize("identity", [0.0, 1.0])
def test_displacements_tell_the_motion(identity):
  """The true optical displacements of a clip of 8 frames at stride 2."""
  features, motions = [], []
  grid = np.array(((0, 0), (20, 0), (0, 20), (-20, 0), (0, -20)))
  world = CameraWorld(identity=identity, scenes=1, frames=16)
  for index in range(512):
    video = world.draw(0, index)
    clip = slice(0, worlds.MIN_SCENE_FRAMES, 2)
    points = [video.camera.place(p, clip, 72, 96)[:, :2] for p in grid]
    steps = np.diff(points, axis=1)  # [points, steps, x and y]
    mean, around = steps.mean(axis=0), steps - steps.mean(axis=0)
    spread = (around[1:] * grid[1:, None]).sum(axis=0)
    series = np.concatenate((mean.T, spread.T))
    features.append(
      np.concatenate(
        (
          np.log(series.std(axis=1) + 1e-3),
          np.log(np.abs(around).sum(axis=0).std(axis=0) + 1e-3),
          np.abs(np.fft.rfft(series, axis=1)).ravel(),
          np.abs(np.corrcoef(series + 1e-9 * np.eye(4, 7))).ravel(),
          np.abs(np.diff(series, axis=1)).mean(axis=1),
          [np.ptp(np.linalg.norm(mean, axis=1))],
        )
      )
    )
    motions.append(video.motion)
  found = leaks.accuracy(
    np.array(features), np.array(motions), np.arange(len(motions))
  )
  # Some motions are small, as of a camera at a pole of its sphere.
  assert found > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("moving", [1.0, 0.3])
def test_no_frame_tells_the_motion_but_the_scene(moving):
  count = 256
  world = CameraWorld(moving=moving, scenes=1, frames=16)
  features, motions, scenes = [], [], []
  for index in range(count):
    video = world.draw(1, index)
    frame = frame_of(video, np.random.default_rng(index).integers(16))
    features.append(leaks.frame_features(frame))
    motions.append(video.motion)
    scenes.append(video.scenes[0].family)
  features, numbers = np.array(features), np.arange(count)
  found = leaks.accuracy(features, np.array(motions), numbers)
  assert found < leaks.bound(count)
  assert leaks.accuracy(features, np.array(scenes), numbers) > 0.4
