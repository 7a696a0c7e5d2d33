"""Eight motions of one object that no single frame can tell apart.

A pose is x, y, size and angle. Its x and y are the shadow, on the plane, of a
point drawn uniformly on a sphere, and each motion that changes them turns that
sphere about an axis of its own: about the vertical one the shadow swings
horizontally, about the line of sight it runs in a circle, and so on. Turning a
sphere leaves the uniform distribution on it as it was, hence the position is
distributed alike at every instant of every motion. Size and angle get the same
treatment with a circle in place of the sphere: zoom and spin advance a phase
that is uniform from the start, the others leave it where it was drawn.
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

# Lengths below are fractions of the frame's short side. The largest reach and
# the largest swollen size add up to less than a half: every pose fits.
_REACH = (0.20, 0.24)  # radius of the sphere
_SIZE = (0.14, 0.17)  # circumradius of the object, before it swells
_SWELL = 1.45  # largest size over middle size
_PERIOD = (10.0, 20.0)  # frames
_KICK = (0.5, 0.9)  # radians by which jitter throws the sphere off


def draw_poses(
  motion: int,
  rng: np.random.Generator,
  num_frames: int,
  height: int,
  width: int,
) -> np.ndarray:
  """Draws how an object moves through a video.

  All that is random is drawn in the same way for every motion, so that only
  the way the pose changes depends on it. A horizontal flip keeps the class:
  `diagonal` holds both diagonals, `circle` and `spin` both directions.

  Args:
    motion: index into `MOTIONS`.
    rng: source of randomness.
    num_frames: number of frames, T.
    height: of the frame, in pixels.
    width: of the frame, in pixels.

  Returns:
    float64 `[T, 4]`: x and y of the centre and circumradius in pixels (pixel
    centres lie at whole numbers), angle in radians.
  """
  name = MOTIONS[motion]
  side = min(height, width)
  reach = side * rng.uniform(*_REACH)
  middle_size = side * rng.uniform(*_SIZE)
  margin = reach + _SWELL * middle_size
  centre = rng.uniform((margin, margin), (width - margin, height - margin))
  point = _unit_vectors(rng, 1)
  swelling, angle = rng.uniform(0, 2 * np.pi, size=2)

  sign = rng.choice((-1.0, 1.0))
  turn = sign * 2 * np.pi * np.arange(num_frames) / rng.uniform(*_PERIOD)
  if name == "jitter":
    axis = _unit_vectors(rng, num_frames)
    point = _rotate(point, axis, np.full(num_frames, rng.uniform(*_KICK)))
  elif name in ("horizontal", "vertical", "diagonal", "circle"):
    axis = {
      "horizontal": (0.0, 1.0, 0.0),
      "vertical": (1.0, 0.0, 0.0),
      "diagonal": (np.sqrt(0.5), sign * np.sqrt(0.5), 0.0),
      "circle": (0.0, 0.0, 1.0),
    }[name]
    point = _rotate(point, np.array([axis]), turn)
  elif name == "zoom":
    swelling = swelling + turn
  elif name == "spin":
    angle = angle + turn

  poses = np.empty((num_frames, 4))
  poses[:, :2] = centre - 0.5 + reach * point[:, :2]
  poses[:, 2] = middle_size * _SWELL ** np.sin(swelling)
  poses[:, 3] = angle
  return poses


def _unit_vectors(rng: np.random.Generator, count: int) -> np.ndarray:
  """Draws `[count, 3]` directions uniformly on the sphere."""
  vectors = rng.normal(size=(count, 3))
  return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _rotate(
  points: np.ndarray, axes: np.ndarray, angles: np.ndarray
) -> np.ndarray:
  """Rotates points about unit axes (Rodrigues), both `[T or 1, 3]`."""
  along = np.sum(points * axes, axis=1, keepdims=True) * axes
  cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
  return along + (points - along) * cos + np.cross(axes, points) * sin
