"""Synthetic videos in which motion and scene are independent labels.

One object performs one motion for the whole video, while the background changes
once, with a hard cut, from one scene to another. No single frame tells the
motion (see `motions`), and no motion tells the scene (see `scenes`). So a
representation that predicts one label has not learned it through the other.
"""

import dataclasses
from collections.abc import Iterator, Mapping

import av
import numpy as np
from etils import epath

from hdc_jax.data.synthetic import camera as camera_lib
from hdc_jax.data.synthetic.motions import MOTIONS, draw_poses
from hdc_jax.data.synthetic.objects import Object, draw_look
from hdc_jax.data.synthetic.scenes import SCENES, paint_scene
from hdc_jax.runtime import files

__all__ = [
  "MOTIONS",
  "SCENES",
  "Scene",
  "Synthetic",
  "draw",
  "foreground",
  "render",
  "write",
]

MIN_SCENE_FRAMES = 24  # Room for a clip of 12 frames at stride 2.


@dataclasses.dataclass(frozen=True)
class Scene:
  """One background and when it begins.

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
    motion: Index into the motions of its world.
    scenes: The backgrounds in order of time; the first begins at frame 0.
    objects: The objects, in the order in which they are drawn.
    num_frames: Number of frames, T.
    height: Height of the frames in pixels.
    width: Width of the frames in pixels.
    fps: Frames per second.
    camera: How a camera moves over the scenes; None if it stands still.
  """

  motion: int
  scenes: tuple[Scene, ...]
  objects: tuple[Object, ...]
  num_frames: int
  height: int
  width: int
  fps: int
  camera: camera_lib.Camera | None = None

  @property
  def labels(self) -> Mapping[str, tuple[tuple[int, int], ...]]:
    """Segments `(first_frame, class)` of the labels 'motion' and 'scene'.

    A cut from a scene to itself begins no segment.
    """
    families = [None, *(scene.family for scene in self.scenes)]
    return {
      "motion": ((0, self.motion),),
      "scene": tuple(
        (scene.first_frame, scene.family)
        for scene, before in zip(self.scenes, families, strict=False)
        if scene.family != before
      ),
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
    objects=(
      Object(
        *draw_look(rng), draw_poses(motion, rng, num_frames, height, width)
      ),
    ),
    num_frames=num_frames,
    height=height,
    width=width,
    fps=fps,
  )


def render(video: Synthetic) -> np.ndarray:
  """Renders the frames of a video.

  Args:
    video: Parameters from `draw`, or from a world of `worlds.WORLDS`.

  Returns:
    RGB, uint8 `[T, height, width, 3]`.
  """
  size = (video.num_frames, video.height, video.width)
  frames = np.empty((*size, 3), np.uint8)
  for scene, span in _spans(video):
    rng = np.random.default_rng(scene.seed)
    if video.camera is None:
      frames[span] = paint_scene(scene.family, rng, *size[1:])
    else:
      side = min(video.height, video.width)
      height = width = video.camera.canvas
      canvas = paint_scene(scene.family, rng, height, width, side)
      video.camera.film(canvas, span, frames)
  for thing in video.objects:
    thing.paint(frames)
  return frames


def foreground(video: Synthetic) -> np.ndarray:
  """Tells where in each frame there is something in front of the scene.

  In front are the objects, and in a video in which the camera's motion moves a
  part of the picture only, this part. Where it moves all of it, the scene moves
  as well, but is no foreground.

  Args:
    video: Parameters from `draw`, or from a world of `worlds.WORLDS`.

  Returns:
    bool `[T, height, width]`; a pixel counts if at least half of it is covered.
  """
  size = (video.num_frames, video.height, video.width)
  covered = np.zeros(size, bool)
  if video.camera is not None and video.camera.radius < np.inf:
    covered |= video.camera.patch(slice(None), *size[1:]) >= 0.5
  for thing in video.objects:
    thing.cover(covered)
  return covered


def _spans(video: Synthetic) -> Iterator[tuple[Scene, slice]]:
  """Yields each scene with the frames that show it."""
  starts = [scene.first_frame for scene in video.scenes]
  stops = [*starts[1:], video.num_frames]
  for scene, start, stop in zip(video.scenes, starts, stops, strict=True):
    yield scene, slice(start, stop)


def write(video: Synthetic, path: epath.PathLike) -> None:
  """Writes a video as H.264 in MP4; the file exists whole or not at all.

  Equal videos give equal bytes, as long as FFmpeg and x264 are the same.

  Args:
    video: Parameters from `draw`.
    path: The file to write; replaced if it exists.
  """
  with (
    files.writing(path) as local,
    av.open(local, "w", format="mp4") as container,
  ):
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
