"""Synthetic videos in which motion and scene are independent labels.

One object performs one motion for the whole video, while the background changes
once, with a hard cut, from one scene to another. No single frame tells the
motion (see `motions`), and no motion tells the scene (see `scenes`). So a
representation that predicts one label has not learned it through the other.
"""

import contextlib
import dataclasses
import os
from collections.abc import Mapping

import av
import numpy as np

from hdc_jax.data.synthetic.motions import MOTIONS, draw_poses
from hdc_jax.data.synthetic.outlines import SHAPES, signed_distance
from hdc_jax.data.synthetic.scenes import SCENES, paint_scene

__all__ = ["MOTIONS", "SCENES", "Scene", "Synthetic", "draw", "render", "write"]

MIN_SCENE_FRAMES = 24  # Room for a clip of 12 frames at stride 2.

_OUTLINE = 1.0  # Width of the object's outline in pixels.


@dataclasses.dataclass(frozen=True)
class Scene:
  """One static background and when it begins.

  Attributes:
    first_frame: Index of the first frame that shows it.
    family: Index into `SCENES`.
    seed: Seed of its parameters, palette and grain.
  """

  first_frame: int
  family: int
  seed: int


@dataclasses.dataclass(frozen=True, eq=False)
class Synthetic:
  """Ground truth and drawing parameters of one video.

  Attributes:
    motion: Index into `MOTIONS`.
    scenes: The backgrounds in order of time; the first begins at frame 0.
    shape: Outline of the object, a key of `SHAPES`.
    tones: Colours of the object's two halves, float64 `[2, RGB]` in [0, 255].
    poses: Pose of the object in each frame, float64 `[T, 4]`, see `draw_poses`.
    height: Height of the frames in pixels.
    width: Width of the frames in pixels.
    fps: Frames per second.
  """

  motion: int
  scenes: tuple[Scene, ...]
  shape: str
  tones: np.ndarray
  poses: np.ndarray
  height: int
  width: int
  fps: int

  @property
  def labels(self) -> Mapping[str, tuple[tuple[int, int], ...]]:
    """Segments `(first_frame, class)` of the labels 'motion' and 'scene'."""
    return {
      "motion": ((0, self.motion),),
      "scene": tuple((s.first_frame, s.family) for s in self.scenes),
    }


def draw(
  seed: int,
  index: int,
  num_frames: int = 64,
  height: int = 72,
  width: int = 96,
  fps: int = 25,
) -> Synthetic:
  """Draws the parameters of a video; equal arguments give equal videos.

  Labels are balanced: any 8 consecutive videos contain each motion once, any 64
  consecutive ones each pair of a motion and a first scene. Every aligned block
  of 64 also contains each pair of a motion and a second scene, and seven such
  blocks contain each change of scene equally often.

  Args:
    seed: Seed of the dataset.
    index: Number of the video in the dataset.
    num_frames: Number of frames; at least `2 * MIN_SCENE_FRAMES`.
    height: Height of the frames in pixels; even, for H.264.
    width: Width of the frames in pixels; even, for H.264.
    fps: Frames per second.

  Returns:
    The parameters, for `render` and `write`, and the labels.

  Raises:
    ValueError: If there are too few frames, or the size is odd.

  Example:
    >>> video = draw(seed=0, index=4)
    >>> MOTIONS[video.motion], [scene.family for scene in video.scenes]
    ('zoom', [0, 5])
    >>> render(video).shape
    (64, 72, 96, 3)
  """
  if num_frames < 2 * MIN_SCENE_FRAMES:
    raise ValueError(
      f"num_frames={num_frames} must be at least {2 * MIN_SCENE_FRAMES}: two "
      f"scenes of {MIN_SCENE_FRAMES} frames"
    )
  if height % 2 or width % 2:
    raise ValueError(
      f"width={width} and height={height} must be even, for H.264"
    )
  rng = np.random.default_rng((seed, index))
  block, position = divmod(index, len(MOTIONS) * len(SCENES))
  first, motion = divmod(position, len(MOTIONS))
  step = 1 + (motion + block) % (len(SCENES) - 1)
  families = (first, (first + step) % len(SCENES))
  cut = rng.integers(MIN_SCENE_FRAMES, num_frames - MIN_SCENE_FRAMES + 1)
  return Synthetic(
    motion=motion,
    scenes=tuple(
      Scene(int(first_frame), family, int(rng.integers(2**63)))
      for first_frame, family in zip((0, cut), families, strict=True)
    ),
    shape=str(rng.choice(list(SHAPES))),
    # One half is dark, one light, so that one contrasts with any background.
    tones=rng.uniform([[0], [160]], [[95], [255]], size=(2, 3)),
    poses=draw_poses(motion, rng, num_frames, height, width),
    height=height,
    width=width,
    fps=fps,
  )


def render(video: Synthetic) -> np.ndarray:
  """Renders the frames of a video.

  Args:
    video: Parameters from `draw`.

  Returns:
    RGB, uint8 `[T, height, width, 3]`.
  """
  frames = np.empty((len(video.poses), video.height, video.width, 3), np.uint8)
  for scene in video.scenes:
    frames[scene.first_frame :] = paint_scene(
      scene.family,
      np.random.default_rng(scene.seed),
      video.height,
      video.width,
    )
  _draw_object(video, frames)
  return frames


def _draw_object(video: Synthetic, frames: np.ndarray) -> None:
  """Draws the object into frames `[T, height, width, 3]`, in place.

  The two halves differ in tone, so that no shape is symmetric under rotation.
  Each half is outlined in the tone of the other, so that it contrasts with any
  background.
  """
  # All frames are drawn at once, in a square patch around the object that holds
  # its largest size. Arrays are `[T, rows, columns]` of the patch.
  x, y, size, angle = video.poses.astype(np.float32).T[:, :, None, None]
  radius = int(np.ceil(size.max())) + 1
  offsets = np.arange(-radius, radius + 1)
  rows = np.rint(y).astype(int) + offsets[:, None]
  columns = np.rint(x).astype(int) + offsets
  rows = np.clip(rows, 0, video.height - 1)
  columns = np.clip(columns, 0, video.width - 1)

  cos, sin = np.cos(angle) / size, np.sin(angle) / size
  right, down = columns - x, rows - y
  forward, sideways = cos * right + sin * down, cos * down - sin * right
  border = size * signed_distance(SHAPES[video.shape], forward, sideways)

  # The fraction of each pixel that is covered; it goes from 1 to 0 from half a
  # pixel inside a border to half a pixel outside of it.
  visible = np.clip(0.5 - border, 0, 1)
  filled = np.clip(0.5 - border - _OUTLINE, 0, 1)
  light = np.clip(0.5 + size * sideways, 0, 1)
  # Within the outline, dark and light are exchanged.
  light = filled * light + (1 - filled) * (1 - light)
  dark_tone, light_tone = video.tones.astype(np.float32)
  colour = dark_tone + light[..., None] * (light_tone - dark_tone)

  patch = (np.arange(len(frames))[:, None, None], rows, columns)
  background = frames[patch]
  mixed = background + visible[..., None] * (colour - background)
  frames[patch] = np.rint(mixed).astype(np.uint8)


def write(video: Synthetic, path: str | os.PathLike[str]) -> None:
  """Writes a video as H.264 in MP4; the file exists whole or not at all.

  Equal videos give equal bytes, as long as FFmpeg and x264 are the same.

  Args:
    video: Parameters from `draw`.
    path: The local file to write; replaced if it exists.
  """
  unfinished = f"{os.fspath(path)}.{os.getpid()}.tmp"
  try:
    with av.open(unfinished, "w", format="mp4") as container:
      stream = container.add_stream("libx264", rate=video.fps)
      stream.width, stream.height = video.width, video.height
      stream.pix_fmt = "yuv420p"
      stream.thread_count = 1  # With more threads the bytes vary.
      # Choice: fine enough that the coding errors around the object do not tell
      # the texture of the background; at crf 18 they begin to.
      stream.options = {"crf": "10", "preset": "superfast"}
      for image in render(video):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        container.mux(stream.encode(frame))
      container.mux(stream.encode(None))
    os.replace(unfinished, path)
  except BaseException:
    with contextlib.suppress(FileNotFoundError):
      os.remove(unfinished)
    raise
