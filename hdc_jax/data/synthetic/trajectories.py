"""Eight motions of a camera that no single frame can tell apart.

A pose is x, y, zoom and angle of the camera over a painted scene. As in
`motions`, x and y are the projection of a point that is uniform on a sphere,
and each motion rotates the sphere about its own axis, advances a phase that is
uniform on a circle, or both: the phases of zoom and of turning are two circles.
Such rotations keep these distributions, so at every time of every motion a pose
is distributed alike. Choice: in return, a camera at a pole of its sphere moves
little.

A video of one motion has a trajectory (period, amplitudes, centre, sense) and a
state, the point and phases it starts from.
"""

import dataclasses

import numpy as np

from hdc_jax.data.synthetic.motions import rotate, unit_vectors

CAMERA_MOTIONS: tuple[str, ...] = (
  "horizontal",
  "vertical",
  "diagonal",
  "circle",
  "zoom",
  "turn",
  "spiral",
  "shake",
)

# Axis about which a motion rotates the sphere; the sense multiplies x and y.
_AXES = {
  "horizontal": (0.0, 1.0, 0.0),
  "vertical": (1.0, 0.0, 0.0),
  "diagonal": (np.sqrt(0.5), np.sqrt(0.5), 0.0),
  "circle": (0.0, 0.0, 1.0),
}

# Parameters of a trajectory: the value that all videos share where trajectories
# do not identify videos, and the range of those that do. Lengths are fractions
# of the frame's short side.
# Choice: so small that from one frame of a clip at stride 2 to the next, scenes
# mostly move by less than half of their wavelength. With a radius of 0.22 and
# turns of 0.5, optical flow by Farnebäck's method correlates with the true
# displacements by 0.43 only; with these, by 0.95.
PERIOD = (13.0, (10.0, 16.0))  # Frames: 16 hold a whole period.
RADIUS = (0.10, (0.08, 0.12))  # Radius of the sphere.
CENTRE = (0.0, (-0.1, 0.1))  # x and y of the middle of the sphere.
ZOOM = (1.2, (1.15, 1.25))  # Ratio of the widest view to the middle one.
TURN = (0.25, (0.2, 0.3))  # Largest angle of a turn, in radians.
SHAKE = (0.7, (0.4, 1.0))  # Angle by which shaking rotates the sphere.


@dataclasses.dataclass(frozen=True)
class Trajectory:
  """What is the same in all of a video's motion.

  Attributes:
    motion: Index into `CAMERA_MOTIONS`.
    period: Frames of one oscillation.
    radius: Radius of the sphere, in units of the frame's short side.
    centre: x and y of its middle, in the same units.
    zoom: Ratio of the widest view to the middle one, in length.
    turn: Largest angle of a turn, in radians.
    shake: Angle by which shaking rotates the sphere, in radians.
    sense: 1 or -1: which way round it goes, which diagonal it takes.
  """

  motion: int
  period: float
  radius: float
  centre: tuple[float, float]
  zoom: float
  turn: float
  shake: float
  sense: int


def draw_trajectory(
  motion: int, identity: float, rng: np.random.Generator
) -> Trajectory:
  """Draws the trajectory of a video; its motion decides none of the numbers.

  Args:
    motion: Index into `CAMERA_MOTIONS`.
    identity: How much trajectories differ, in [0, 1]: the fraction of each
      range that is used, and the probability that a video draws its sense.
    rng: Generator of the random numbers.

  Returns:
    The trajectory; the same one for all videos of a motion if `identity` is 0.
  """

  def value(parameter: tuple[float, tuple[float, float]]) -> float:
    shared, span = parameter
    return shared + identity * (rng.uniform(*span) - shared)

  sense = int(rng.choice((-1, 1)))
  return Trajectory(
    motion=motion,
    period=value(PERIOD),
    radius=value(RADIUS),
    centre=(value(CENTRE), value(CENTRE)),
    zoom=value(ZOOM),
    turn=value(TURN),
    shake=value(SHAKE),
    sense=sense if rng.uniform() < identity else 1,
  )


def draw_poses(
  trajectory: Trajectory, rng: np.random.Generator, num_frames: int
) -> np.ndarray:
  """Draws a state and lets the camera move from there.

  Args:
    trajectory: What the motion looks like.
    rng: Generator of the state.
    num_frames: Number of frames, N.

  Returns:
    float64 `[N, 4]`: x and y in units of the frame's short side, zoom (pixels
    of the scene to one of the frame; 1 at most, so that nothing aliases) and
    angle in radians.
  """
  name = CAMERA_MOTIONS[trajectory.motion]
  point = unit_vectors(rng, 1)
  zoom_phase, turn_phase, angle = rng.uniform(0, 2 * np.pi, size=3)
  advance = 2 * np.pi * np.arange(num_frames) / trajectory.period
  if name == "shake":
    # In each frame about another axis, always away from the same point.
    axes = unit_vectors(rng, num_frames)
    point = rotate(point, axes, np.full(num_frames, trajectory.shake))
  elif name in _AXES:
    axis = np.array([_AXES[name]]) * (1, trajectory.sense, 1)
    point = rotate(point, axis, trajectory.sense * advance)
  if name in ("zoom", "spiral"):
    zoom_phase = zoom_phase + advance
  if name in ("turn", "spiral"):
    turn_phase = turn_phase + trajectory.sense * advance
  poses = np.empty((num_frames, 4))
  poses[:, :2] = trajectory.centre + trajectory.radius * point[:, :2]
  poses[:, 2] = trajectory.zoom ** (np.sin(zoom_phase) - 1)
  poses[:, 3] = angle + trajectory.turn * np.sin(turn_phase)
  return poses
