"""Synthetic videos: what their labels promise, measured.

The decoupling tests ask a kernel classifier for the motion of a single frame
and for the scene of a video's frame differences, from decoded files, since the
encoder might leak either. Each also asks it for the label that it should find,
so that a classifier too weak to notice a leak fails as well.
"""

import dataclasses
import os

import av
import numpy as np
import pytest
from scipy import stats

from hdc_jax.data.synthetic import videos as synthetic
from hdc_jax.data.synthetic.videos import MOTIONS, SCENES
from tests.data.synthetic import leaks

NUM_VIDEOS = 512
CLASSES = len(MOTIONS)


def _decode(path):
  # One reformatter for all frames: setting it up takes longer than its work.
  reformat = av.video.reformatter.VideoReformatter().reformat
  with av.open(str(path)) as container:
    container.streams.video[0].thread_count = 1
    frames = [
      reformat(frame, format="rgb24").to_ndarray()
      for frame in container.decode(video=0)
    ]
  return np.stack(frames)


def _mirror(poses, width):
  x, y, size, angle = poses.T
  return np.stack((width - 1 - x, y, size, np.pi - angle), axis=-1)


def _name_motion(poses):
  """Tells the motion from the true poses `[T, 4]`, by its definition."""
  x, y, size, angle = np.ptp(poses, axis=0) > 1e-6
  steps = np.diff(poses[:, :2], axis=0)
  if size:
    return "zoom"
  if angle:
    return "spin"
  if x and y:
    if np.linalg.matrix_rank(steps, tol=1e-6) == 1:
      return "diagonal"
    speeds = np.linalg.norm(steps, axis=1)
    return "circle" if np.ptp(speeds) < 1e-6 else "jitter"
  return "horizontal" if x else "vertical" if y else "rest"


# --- What a video is --------------------------------------------------------


def test_eight_motions_and_eight_scenes():
  assert len(set(MOTIONS)) == len(MOTIONS) == 8
  assert len(set(SCENES)) == len(SCENES) == 8


def test_file_depends_on_seed_and_index_only(tmp_path):
  def data(name, seed, index):
    synthetic.write(synthetic.draw(seed, index), tmp_path / name)
    return (tmp_path / name).read_bytes()

  first = data("a.mp4", 1, 5)
  assert data("b.mp4", 1, 13) != first  # the same motion, another video
  assert data("c.mp4", 2, 5) != first
  assert data("d.mp4", 1, 5) == first


def test_labels_are_segments_within_the_video():
  for index in range(NUM_VIDEOS):
    video = synthetic.draw(0, index)
    labels = video.labels
    assert set(labels) == {"motion", "scene"}
    ((start, motion),) = labels["motion"]
    assert start == 0
    assert motion == video.motion == index % CLASSES
    (start, first), (cut, second) = labels["scene"]
    assert start == 0
    assert first != second
    assert {first, second, motion} <= set(range(CLASSES))
    shortest = min(cut, video.num_frames - cut)
    assert shortest >= synthetic.MIN_SCENE_FRAMES


def test_cuts_vary():
  cuts = {synthetic.draw(0, i).scenes[1].first_frame for i in range(200)}
  assert cuts == set(range(24, 41))


@pytest.mark.parametrize("span", [range(128), range(128, 192), range(448)])
@pytest.mark.parametrize("part", [0, 1])
def test_motions_and_scenes_are_balanced(span, part):
  counts = np.zeros((CLASSES, CLASSES), int)
  for index in span:
    video = synthetic.draw(0, index)
    counts[video.motion, video.scenes[part].family] += 1
  np.testing.assert_array_equal(counts, len(span) // CLASSES**2)


def test_changes_of_scene_are_balanced():
  counts = np.zeros((CLASSES, CLASSES), int)
  for index in range(448):
    first, second = synthetic.draw(0, index).scenes
    counts[first.family, second.family] += 1
  np.testing.assert_array_equal(counts, 8 * (1 - np.eye(CLASSES, dtype=int)))


@pytest.mark.parametrize("height, width", [(72, 96), (64, 64), (96, 48)])
def test_object_stays_in_the_frame(height, width):
  for index in range(NUM_VIDEOS):
    video = synthetic.draw(0, index, height=height, width=width)
    x, y, size, _ = video.objects[0].poses.T
    # Pixel centres lie at whole numbers.
    assert np.all(x - size >= -0.5)
    assert np.all(x + size <= width - 0.5)
    assert np.all(y - size >= -0.5)
    assert np.all(y + size <= height - 0.5)


def test_only_the_object_moves_within_a_scene():
  for index in range(16):
    video = synthetic.draw(3, index)
    frames = synthetic.render(video)
    assert frames.shape == (64, 72, 96, 3)
    assert frames.dtype == np.uint8
    cut = video.scenes[1].first_frame
    rows, columns = np.mgrid[:72, :96]
    for t in set(range(1, len(frames))) - {cut}:
      changed = np.any(frames[t] != frames[t - 1], axis=-1)
      assert changed.any() == (MOTIONS[video.motion] != "rest")
      x, y, size = (
        video.objects[0].poses[t - 1 : t + 1, :3, None, None].swapaxes(0, 1)
      )
      reach = np.hypot(columns - x, rows - y) <= size + 1
      assert not np.any(changed & ~reach.any(axis=0))


def test_object_is_drawn_at_its_pose():
  video = synthetic.draw(0, MOTIONS.index("circle"))
  frames = synthetic.render(video).astype(float)
  cut = video.scenes[1].first_frame
  # Where a pixel differs from the scene's median over a few turns, there is
  # the object.
  foreground = np.abs(frames[:cut] - np.median(frames[:cut], axis=0)).sum(-1)
  rows, columns = np.mgrid[:72, :96]
  weight = foreground.sum(axis=(1, 2))
  x = (foreground * columns).sum(axis=(1, 2)) / weight
  y = (foreground * rows).sum(axis=(1, 2)) / weight
  seen = np.stack((x, y), axis=-1)
  assert np.corrcoef(seen[:, 0], video.objects[0].poses[:cut, 0])[0, 1] > 0.9
  assert np.corrcoef(seen[:, 1], video.objects[0].poses[:cut, 1])[0, 1] > 0.9
  distance = np.linalg.norm(seen - video.objects[0].poses[:cut, :2], axis=1)
  assert np.all(distance < video.objects[0].poses[:cut, 2])


def test_file_is_h264_and_shows_the_frames(tmp_path):
  video = synthetic.draw(0, 0, num_frames=50, height=64, width=80, fps=30)
  path = tmp_path / "video.mp4"
  synthetic.write(video, path)
  assert os.listdir(tmp_path) == ["video.mp4"]
  with av.open(str(path)) as container:
    stream = container.streams.video[0]
    assert container.format.name.startswith("mov,mp4")
    assert stream.codec_context.name == "h264"
    assert stream.codec_context.pix_fmt == "yuv420p"
    assert stream.average_rate == 30
    assert stream.frames == 50
  decoded = _decode(path).astype(float)
  expected = synthetic.render(video).astype(float)
  assert decoded.shape == (50, 64, 80, 3)
  # In luma, as the file halves the resolution of colour.
  luma = np.array((0.299, 0.587, 0.114))
  assert np.abs((decoded - expected) @ luma).mean() < 3


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / "video.mp4"
  path.write_bytes(b"old")
  monkeypatch.setattr(synthetic, "render", lambda video: [np.zeros(3)])
  with pytest.raises(ValueError):
    synthetic.write(synthetic.draw(0, 0), path)
  assert os.listdir(tmp_path) == ["video.mp4"]
  assert path.read_bytes() == b"old"


def test_impossible_sizes_are_refused():
  with pytest.raises(ValueError, match="num_frames=47"):
    synthetic.draw(0, 0, num_frames=47)
  with pytest.raises(ValueError, match="even"):
    synthetic.draw(0, 0, height=71)


# --- Motions ----------------------------------------------------------------


def test_motions_are_what_they_say_and_survive_a_flip():
  for index in range(NUM_VIDEOS):
    video = synthetic.draw(0, index)
    name = MOTIONS[video.motion]
    assert _name_motion(video.objects[0].poses) == name
    assert _name_motion(_mirror(video.objects[0].poses, video.width)) == name


def test_a_flip_leaves_directions_as_frequent():
  # It swaps the diagonals, and the senses in which things go round.
  directions = {"diagonal": [], "circle": [], "spin": []}
  for index in range(NUM_VIDEOS):
    video = synthetic.draw(0, index)
    name = MOTIONS[video.motion]
    (dx, dy, _, turn), (dx2, dy2, _, _) = np.diff(
      video.objects[0].poses[:3], axis=0
    )
    if name in directions:
      sense = {"diagonal": dx * dy, "circle": dx * dy2 - dy * dx2, "spin": turn}
      directions[name].append(sense[name] > 0)
  for name, positive in directions.items():
    assert 0.3 < np.mean(positive) < 0.7, name


def test_motions_show_within_a_clip():
  # 16 frames, over which most oscillations go through a period or nearly.
  extents = {name: [] for name in MOTIONS}
  for index in range(NUM_VIDEOS):
    video = synthetic.draw(0, index)
    extents[MOTIONS[video.motion]].append(
      np.ptp(video.objects[0].poses[:16], axis=0)
    )
  side = video.height
  x, y, size, angle = range(4)
  for name, axis, least in (
    ("horizontal", x, 0.1 * side),
    ("vertical", y, 0.1 * side),
    ("diagonal", x, 0.07 * side),
    ("circle", x, 0.1 * side),
    ("jitter", x, 0.1 * side),
    ("zoom", size, 0.05 * side),
    ("spin", angle, np.pi),
  ):
    extent = np.array(extents[name])[:, axis]
    assert np.mean(extent > least) > 0.93, name


# --- Decoupling -------------------------------------------------------------

CLIP = 24  # frames, the shortest scene


@dataclasses.dataclass(frozen=True)
class Measured:
  """Features `[samples, D]` and labels `[samples]`; two samples a video."""

  colours: np.ndarray  # of one decoded frame
  frames: np.ndarray  # of the same frame
  differences: np.ndarray  # of a decoded clip within one scene
  mirrored: np.ndarray  # of the same clip, flipped horizontally
  motions: np.ndarray
  scenes: np.ndarray
  videos: np.ndarray


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
  path = tmp_path_factory.mktemp("synthetic") / "video.mp4"
  samples = []
  for index in range(NUM_VIDEOS):
    video = synthetic.draw(7, index)
    synthetic.write(video, path)
    decoded = _decode(path)
    rng = np.random.default_rng(index)
    cut = video.scenes[1].first_frame
    for scene, shot in zip(
      video.scenes, (decoded[:cut], decoded[cut:]), strict=True
    ):
      frame = rng.choice(shot)
      start = rng.integers(len(shot) - CLIP + 1)
      clip = shot[start : start + CLIP]
      samples.append(
        (
          leaks.colour_features(frame),
          leaks.frame_features(frame),
          leaks.difference_features(clip),
          leaks.difference_features(clip[:, :, ::-1]),
          video.motion,
          scene.family,
          index,
        )
      )
  return Measured(*map(np.array, zip(*samples, strict=True)))


def test_no_instant_of_the_true_pose_tells_the_motion():
  count = 2048
  videos, motions = np.arange(count), np.arange(count) % CLASSES
  poses = np.empty((count, 4))
  for index in range(count):
    video = synthetic.draw(5, index)
    poses[index] = np.random.default_rng(index).choice(video.objects[0].poses)
  poses[:, 3] %= 2 * np.pi
  for motion in range(CLASSES):
    for coordinate in poses.T:
      here, elsewhere = (
        coordinate[motions == motion],
        coordinate[motions != motion],
      )
      assert stats.ks_2samp(here, elsewhere).pvalue > 1e-4
  assert leaks.accuracy(poses, motions, videos) < leaks.bound(count)


@pytest.mark.slow
def test_no_frame_tells_the_motion_but_the_scene(measured):
  m = measured
  assert leaks.accuracy(m.frames, m.motions, m.videos) < leaks.bound(NUM_VIDEOS)
  assert leaks.accuracy(m.frames, m.scenes, m.videos) > 0.6


def test_no_colours_tell_the_scene(measured):
  m = measured
  assert leaks.accuracy(m.colours, m.scenes, m.videos) < leaks.bound(NUM_VIDEOS)


def test_no_frame_differences_tell_the_scene_but_the_motion(measured):
  m = measured
  assert leaks.accuracy(m.differences, m.scenes, m.videos) < leaks.bound(
    NUM_VIDEOS
  )
  assert leaks.accuracy(m.differences, m.motions, m.videos) > 0.9


def test_a_flipped_video_shows_the_same_motion(measured):
  m = measured
  known = m.videos % 256 < 192
  predicted = leaks.predict(
    m.differences[known], m.motions[known], m.mirrored[~known]
  )
  assert np.mean(predicted == m.motions[~known]) > 0.9
