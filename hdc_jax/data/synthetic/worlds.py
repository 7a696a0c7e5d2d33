"""The worlds that `prepare --dataset=synthetic` films, by name.

In the world 'object' one object moves in front of a static scene. In the world
'camera' motion moves most of the picture, is shared by many videos, and goes on
while the scene changes: two clips of a video have the same motion but mostly
not the same scene, which is what temporal contrast is meant to use.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from hdc_jax.data.synthetic import camera as camera_lib
from hdc_jax.data.synthetic import trajectories, videos
from hdc_jax.data.synthetic.camera import Camera
from hdc_jax.data.synthetic.motions import MOTIONS, rotate, unit_vectors
from hdc_jax.data.synthetic.objects import Object, draw_look
from hdc_jax.data.synthetic.scenes import SCENES
from hdc_jax.data.synthetic.trajectories import CAMERA_MOTIONS
from hdc_jax.data.synthetic.videos import Scene, Synthetic
from hdc_jax.errors import ConfigError
from hdc_jax.options import Options, option

# A clip of 8 frames at stride 2, and at 25 frames a second a whole period of
# the motion.
MIN_SCENE_FRAMES = 16

_FPS = 25
_OBJECTS = 2  # In each scene.
_ORBIT = 0.2  # Radius of an object's sphere, as a fraction of the short side.
_SIZE = (0.10, 0.13)  # Circumradius of an object, as such a fraction.
_OBJECT_PERIOD = (24.0, 48.0)  # Frames of one rotation of an object.


class _World(Options):
  """Options of a world, which are flags of `prepare`."""

  @classmethod
  def full_name(cls, name: str) -> str:
    """The flag of a field."""
    return f"--{name}"


@dataclasses.dataclass(frozen=True)
class ObjectWorld(_World):
  """One object moves in front of two static scenes; see `videos.draw`."""

  motions: ClassVar[tuple[str, ...]] = MOTIONS

  def draw(self, seed: int, index: int) -> Synthetic:
    """Draws a video; equal arguments give equal videos."""
    return videos.draw(seed, index)


@dataclasses.dataclass(frozen=True)
class CameraWorld(_World):
  """A camera moves over scenes that change while its motion goes on."""

  scenes: int = option(
    4, "Scenes in a video, between cuts at random times.", at_least=1
  )
  frames: int = option(
    96,
    f"Frames in a video, at least {MIN_SCENE_FRAMES} for each scene.",
    at_least=MIN_SCENE_FRAMES,
  )
  height: int = option(
    72,
    "Height of the frames in pixels; the width is 4/3 of it.",
    at_least=16,
    multiple_of=2,
  )
  shared_scene: float = option(
    0.0,
    "How much scene the clips of a video share, from 0 to 1: the probability "
    "that a cut returns to the video's first scene instead of going to a scene "
    "of another family.",
    at_least=0,
    at_most=1,
  )
  identity: float = option(
    0.0,
    "How much a trajectory identifies its video, from 0 to 1. At 0 all videos "
    "of a motion share period, amplitudes, centre and sense, and each cut "
    "draws point and phase anew. At 1 every video draws its own, and moves on "
    "through its cuts. Between them the values differ by this fraction of "
    "their ranges, and this fraction of the cuts draws nothing anew.",
    at_least=0,
    at_most=1,
  )
  moving: float = option(
    1.0,
    "How much of the picture the camera's motion moves, from 0 to 1. At 1 all "
    "of it. Below, a disc of the scene that covers this fraction of the frame "
    "on average, in front of the scene at rest; at 0 two objects alone.",
    at_least=0,
    at_most=1,
  )

  motions: ClassVar[tuple[str, ...]] = CAMERA_MOTIONS

  def check(self) -> None:
    """Checks that each scene has room for a clip.

    Raises:
      ConfigError: If there are too few frames.
    """
    least = self.scenes * MIN_SCENE_FRAMES
    if self.frames < least:
      raise ConfigError(
        f"--frames={self.frames} must be at least {least}: {MIN_SCENE_FRAMES} "
        f"for each of --scenes={self.scenes}"
      )

  def draw(self, seed: int, index: int) -> Synthetic:
    """Draws a video; equal arguments give equal videos.

    Any 8 consecutive videos contain each motion once. Where no cut returns to
    the first scene, every aligned block of 64 contains each pair of a motion
    and an n-th scene once, for each n, and no 8 consecutive scenes of a video
    are of the same family.

    Args:
      seed: Seed of the dataset.
      index: Number of the video in the dataset.

    Returns:
      The parameters of the video.
    """
    height, width = self.height, 2 * round(self.height * 2 / 3)
    rng = np.random.default_rng((seed, index))
    trajectory_rng, state_rng, scene_rng = rng.spawn(3)
    motion = index % len(CAMERA_MOTIONS)
    trajectory = trajectories.draw_trajectory(
      motion, self.identity, trajectory_rng
    )
    scenes = self._draw_scenes(seed, index, scene_rng)
    cuts = [scene.first_frame for scene in scenes[1:]]
    anew = [t for t in cuts if state_rng.uniform() >= self.identity]
    poses = np.concatenate(
      [
        trajectories.draw_poses(trajectory, state_rng, stop - start)
        for start, stop in zip([0, *anew], [*anew, self.frames], strict=True)
      ]
    )
    poses[:, :2] *= min(height, width)
    camera = Camera(
      poses=poses,
      rest=1 / trajectory.zoom,
      canvas=camera_lib.canvas_size(self.identity, height, width),
      radius=camera_lib.disc_radius(trajectory, self.moving, height, width),
    )
    return Synthetic(
      motion=motion,
      scenes=scenes,
      objects=tuple(
        thing
        for scene, stop in zip(scenes, [*cuts, self.frames], strict=True)
        for thing in _draw_objects(scene, stop, camera, height, width)
      ),
      num_frames=self.frames,
      height=height,
      width=width,
      fps=_FPS,
      camera=camera,
    )

  def _draw_scenes(
    self, seed: int, index: int, rng: np.random.Generator
  ) -> tuple[Scene, ...]:
    """Draws families, seeds and first frames of a video's scenes."""
    block, position = divmod(index, len(CAMERA_MOTIONS) * len(SCENES))
    first, motion = divmod(position, len(CAMERA_MOTIONS))
    # The same steps from scene to scene for 8 videos, which begin with each.
    steps = np.random.default_rng((seed, block, motion)).permutation(
      np.arange(1, len(SCENES))
    )
    steps = (0, *steps.tolist())
    spare = self.frames - self.scenes * MIN_SCENE_FRAMES
    cuts = np.sort(rng.integers(spare + 1, size=self.scenes - 1))
    scenes: list[Scene] = []
    for number, cut in enumerate((0, *cuts.tolist())):
      family = (first + steps[number % len(SCENES)]) % len(SCENES)
      own_seed = int(rng.integers(2**63))
      if rng.uniform() < self.shared_scene and scenes:
        family, own_seed = scenes[0].family, scenes[0].seed
      first_frame = cut + number * MIN_SCENE_FRAMES
      scenes.append(Scene(first_frame, family, own_seed))
    return tuple(scenes)


# Named by --world.
WORLDS: Mapping[str, type[ObjectWorld] | type[CameraWorld]] = {
  "object": ObjectWorld,
  "camera": CameraWorld,
}


def make(name: str, options: Mapping[str, Any]) -> ObjectWorld | CameraWorld:
  """Makes a world with the options that were given.

  Args:
    name: Name of the world, a key of `WORLDS`.
    options: Values of its attributes; the others keep their defaults.

  Returns:
    The world.

  Raises:
    ConfigError: If it has no such option, or a value is out of range.
  """
  world = WORLDS[name]
  known = {field.name for field in dataclasses.fields(world)}
  for given in options:
    if given not in known:
      raise ConfigError(
        f"--{given} is of no use to --world={name}: leave it out"
      )
  return world(**options)


def _draw_objects(
  scene: Scene, stop: int, camera: Camera, height: int, width: int
) -> list[Object]:
  """Draws the objects of a scene, each of which orbits in its own way.

  They are part of the scene: the camera's motion moves them with it.

  Args:
    scene: The scene, whose seed decides looks and orbits.
    stop: Index of the first frame that no longer shows it.
    camera: The camera.
    height: Height of the frames in pixels.
    width: Width of the frames in pixels.

  Returns:
    The objects, with their poses in the frames.
  """
  rng = np.random.default_rng((scene.seed, 1))
  side = min(height, width)
  span = slice(scene.first_frame, stop)
  objects = []
  for _ in range(_OBJECTS):
    look = draw_look(rng)
    size = side * rng.uniform(*_SIZE)
    angle = rng.uniform(0, 2 * np.pi)
    times = 2 * np.pi * np.arange(stop - scene.first_frame)
    orbit = rotate(
      unit_vectors(rng, 1),
      unit_vectors(rng, 1),
      times / rng.uniform(*_OBJECT_PERIOD),
    )
    spin = rng.choice((-1, 1)) * times / rng.uniform(*_OBJECT_PERIOD)
    placed = camera.place(side * _ORBIT * orbit[:, :2], span, height, width)
    angles = angle + spin - camera.poses[span, 3]
    poses = np.column_stack((placed[:, :2], size * placed[:, 2], angles))
    objects.append(Object(*look, poses, scene.first_frame))
  return objects
