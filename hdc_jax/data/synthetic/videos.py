"""Synthetic videos in which what moves how and where are independent.

One object goes through one motion for the whole video, undisturbed by a hard
cut from one scene to another. No single frame tells the motion (see `motions`)
and no motion tells the scene (see `scenes`): a representation can be asked for
either label and cannot get it by way of the other.
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

MIN_SCENE_FRAMES = 24  # room for a clip of 12 frames at stride 2

_OUTLINE = 1.0  # pixels


@dataclasses.dataclass(frozen=True)
class Scene:
  """One static background and when it begins.

  Attributes:
    first_frame: index of the first frame that shows it.
    family: index into `SCENES`.
    seed: of its parameters and palette.
  """

  first_frame: int
  family: int
  seed: int


@dataclasses.dataclass(frozen=True, eq=False)
class Synthetic:
  """Ground truth and drawing parameters of one video.

  Attributes:
    motion: index into `MOTIONS`.
    scenes: in order of time; the first begins at frame 0.
    shape: the object's outline, a key of `SHAPES`.
    tones: float64 `[2, RGB]` in [0, 255], colours of the object's two halves.
    poses: float64 `[T, 4]`, see `draw_poses`.
    height: of the frames, in pixels.
    width: of the frames, in pixels.
    fps: frames per second.
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
  """Draws a video, which depends on nothing but the arguments.

  Any 8 consecutive videos hold each motion once, any 64 each pair of a motion
  and a first scene. Every aligned block of 64 also holds each pair of a motion
  and a second scene, and seven such blocks each change of scene equally often.

  Args:
    seed: of the data set.
    index: of the video in the data set.
    num_frames: at least `2 * MIN_SCENE_FRAMES`.
    height: of the frames, in pixels; even, as H.264 needs it.
    width: of the frames, in pixels; even, as H.264 needs it.
    fps: frames per second.

  Returns:
    What `render` and `write` need, and the labels.
  """
  if num_frames < 2 * MIN_SCENE_FRAMES:
    raise ValueError(
      f"num_frames={num_frames} leaves no room for two scenes of at least "
      f"{MIN_SCENE_FRAMES} frames each."
    )
  if height % 2 or width % 2:
    raise ValueError(f"Size {width}×{height}: H.264 needs even sides.")
  rng = np.random.default_rng((seed, index))
  block, place = divmod(index, len(MOTIONS) * len(SCENES))
  first, motion = divmod(place, len(MOTIONS))
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
    # A dark and a light half: one of them stands out on any background.
    tones=rng.uniform([[0], [160]], [[95], [255]], size=(2, 3)),
    poses=draw_poses(motion, rng, num_frames, height, width),
    height=height,
    width=width,
    fps=fps,
  )


def render(video: Synthetic) -> np.ndarray:
  """Draws the frames of a video.

  Args:
    video: from `draw`.

  Returns:
    uint8 RGB `[T, height, width, 3]`.
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

  The two halves differ in tone, so that no shape is symmetric under rotation,
  and each is outlined in the other's tone, so that it shows on any background.
  """
  # All frames at once, in the smallest square patch that holds the object.
  x, y, size, angle = video.poses.astype(np.float32).T[:, :, None, None]
  reach = int(np.ceil(size.max())) + 1
  window = np.arange(-reach, reach + 1)
  rows = np.rint(y).astype(int) + window[:, None]
  columns = np.rint(x).astype(int) + window
  rows = np.clip(rows, 0, video.height - 1)
  columns = np.clip(columns, 0, video.width - 1)

  cos, sin = np.cos(angle) / size, np.sin(angle) / size
  right, down = columns - x, rows - y
  forward, sideways = cos * right + sin * down, cos * down - sin * right
  border = size * signed_distance(SHAPES[video.shape], forward, sideways)

  # A pixel's coverage, half a pixel either side of a border.
  visible = np.clip(0.5 - border, 0, 1)
  filled = np.clip(0.5 - border - _OUTLINE, 0, 1)
  light = np.clip(0.5 + size * sideways, 0, 1)
  light = filled * light + (1 - filled) * (1 - light)
  dark_tone, light_tone = video.tones.astype(np.float32)
  colour = dark_tone + light[..., None] * (light_tone - dark_tone)

  patch = (np.arange(len(frames))[:, None, None], rows, columns)
  behind = frames[patch]
  mixed = behind + visible[..., None] * (colour - behind)
  frames[patch] = np.rint(mixed).astype(np.uint8)


def write(video: Synthetic, path: str | os.PathLike[str]) -> None:
  """Writes a video as H.264 in MP4, whole or not at all.

  The same video gives the same bytes, with the same versions of FFmpeg and
  x264.

  Args:
    video: from `draw`.
    path: of the file; replaced if it exists.
  """
  unfinished = f"{os.fspath(path)}.{os.getpid()}.tmp"
  try:
    with av.open(unfinished, "w", format="mp4") as container:
      stream = container.add_stream("libx264", rate=video.fps)
      stream.width, stream.height = video.width, video.height
      stream.pix_fmt = "yuv420p"
      stream.thread_count = 1  # more would make the bytes vary
      # Fine enough that the errors around the object do not tell the texture
      # that it moves over; at crf 18 they begin to.
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
