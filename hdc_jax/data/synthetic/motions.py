"""Eight motions of one object that no single frame can tell apart.

A pose is x, y, size and angle. Its x and y are the projection onto the frame of
a point drawn uniformly on a sphere. Each motion that changes the position
rotates that sphere about its own axis: about the vertical axis the projection
swings horizontally, about the line of sight it runs in a circle, and so on. A
rotation leaves the uniform distribution on the sphere unchanged, so the
position has the same distribution at every time of every motion. Size and angle
work the same way with a circle instead of a sphere: zoom and spin advance a
phase that is uniform at the start; the other motions keep it as drawn.
"""

import numpy as np

MOTIONS: tuple[str, ...] = (
  "horizontal",
  "vertical",
  "diagonal",
  "circle",
  "zoom",
  "spin",
  "jitter",
  "rest",
)

# Lengths are fractions of the frame's short side. The largest sphere and the
# largest object add up to less than a half, so that every pose fits.
_SPHERE_RADIUS = (0.20, 0.24)
_SIZE = (0.14, 0.17)  # Circumradius of the object in the middle of its zoom.
_ZOOM = 1.45  # Ratio of the largest size to the middle size.
_PERIOD = (10.0, 20.0)  # Frames of one rotation.
_JITTER = (0.5, 0.9)  # Angle in radians by which jitter rotates the sphere.


def draw_poses(
  motion: int,
  rng: np.random.Generator,
  num_frames: int,
  height: int,
  width: int,
) -> np.ndarray:
  """Draws how an object moves through a video.

  All parameters are drawn in the same way for every motion; only how the pose
  changes over time depends on the motion. A horizontal flip keeps the class:
  `diagonal` includes both diagonals, `circle` and `spin` both directions.

  Args:
    motion: Index into `MOTIONS`.
    rng: Generator of the random numbers.
    num_frames: Number of frames, T.
    height: Height of the frame in pixels.
    width: Width of the frame in pixels.

  Returns:
    float64 `[T, 4]`: x and y of the centre and circumradius in pixels (pixel
    centres have whole coordinates), angle in radians.
  """
  name = MOTIONS[motion]
  side = min(height, width)
  radius = side * rng.uniform(*_SPHERE_RADIUS)
  middle_size = side * rng.uniform(*_SIZE)
  margin = radius + _ZOOM * middle_size
  centre = rng.uniform((margin, margin), (width - margin, height - margin))
  point = unit_vectors(rng, 1)
  zoom_phase, angle = rng.uniform(0, 2 * np.pi, size=2)

  sign = rng.choice((-1.0, 1.0))
  rotation = sign * 2 * np.pi * np.arange(num_frames) / rng.uniform(*_PERIOD)
  if name == "jitter":
    # In each frame about another axis, always away from the same point.
    axes = unit_vectors(rng, num_frames)
    point = rotate(point, axes, np.full(num_frames, rng.uniform(*_JITTER)))
  elif name in ("horizontal", "vertical", "diagonal", "circle"):
    axis = {
      "horizontal": (0.0, 1.0, 0.0),
      "vertical": (1.0, 0.0, 0.0),
      "diagonal": (np.sqrt(0.5), sign * np.sqrt(0.5), 0.0),
      "circle": (0.0, 0.0, 1.0),
    }[name]
    point = rotate(point, np.array([axis]), rotation)
  elif name == "zoom":
    zoom_phase = zoom_phase + rotation
  elif name == "spin":
    angle = angle + rotation

  poses = np.empty((num_frames, 4))
  poses[:, :2] = centre - 0.5 + radius * point[:, :2]
  poses[:, 2] = middle_size * _ZOOM ** np.sin(zoom_phase)
  poses[:, 3] = angle
  return poses


def unit_vectors(rng: np.random.Generator, count: int) -> np.ndarray:
  """Draws `[count, 3]` directions uniformly on the sphere."""
  vectors = rng.normal(size=(count, 3))
  return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def rotate(
  points: np.ndarray, axes: np.ndarray, angles: np.ndarray
) -> np.ndarray:
  """Rotates points about axes, by Rodrigues' formula.

  Args:
    points: `[T, 3]` or `[1, 3]` points.
    axes: `[T, 3]` or `[1, 3]` unit vectors.
    angles: `[T]` angles in radians.

  Returns:
    `[T, 3]` rotated points.
  """
  along = np.sum(points * axes, axis=1, keepdims=True) * axes
  cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
  return along + (points - along) * cos + np.cross(axes, points) * sin
