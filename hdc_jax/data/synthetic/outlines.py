"""Outlines of the objects in synthetic videos, as signed distances."""

from collections.abc import Mapping

import numpy as np


def _regular(corners: int, radii: tuple[float, ...] = (1.0,)) -> np.ndarray:
  """Makes a polygon around the origin with equal angles between corners.

  Args:
    corners: Number of corners.
    radii: Distances of the corners from the origin, repeated in turn.

  Returns:
    float64 `[corners, 2]`.
  """
  angles = 2 * np.pi * np.arange(corners) / corners
  radius = np.resize(radii, corners)
  return np.stack((radius * np.cos(angles), radius * np.sin(angles)), axis=-1)


def _fitted(*corners: tuple[float, float]) -> np.ndarray:
  """Shifts a polygon's mean corner to the origin and scales it to radius 1."""
  polygon = np.array(corners, np.float64)
  polygon -= polygon.mean(axis=0)
  return polygon / np.linalg.norm(polygon, axis=1).max()


# Polygons, float64 `[corners, 2]`, around the origin within the unit circle.
SHAPES: Mapping[str, np.ndarray] = {
  "triangle": _regular(3),
  "square": _regular(4),
  "pentagon": _regular(5),
  "star": _regular(10, (1.0, 0.45)),
  "cross": _fitted(
    *((1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (2, 2)),
    *((2, 3), (1, 3), (1, 2), (0, 2), (0, 1), (1, 1)),
  ),
  "ell": _fitted((0, 0), (2, 0), (2, 1), (1, 1), (1, 3), (0, 3)),
  "tee": _fitted(
    *((0, 0), (3, 0), (3, 1), (2, 1), (2, 3), (1, 3), (1, 1), (0, 1))
  ),
  "arrow": _fitted(
    *((0, 0), (2, -2), (2, -0.8), (4, -0.8), (4, 0.8), (2, 0.8), (2, 2))
  ),
  "horseshoe": _fitted(
    *((0, 0), (1, 0), (1, 2), (2, 2), (2, 0), (3, 0), (3, 3), (0, 3))
  ),
}


def signed_distance(
  polygon: np.ndarray, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
  """Computes distances of points from a polygon's border, negative inside.

  Args:
    polygon: `[corners, 2]` corners (x, y), in order.
    x: Coordinates of the points, of any shape.
    y: Coordinates of the points, of the same shape.

  Returns:
    Distances, of the shape and dtype of `x`.

  Example:
    >>> x, y = np.array([0.0, 2.0]), np.zeros(2)
    >>> signed_distance(SHAPES["square"], x, y).round(3).tolist()
    [-0.707, 1.0]
  """
  squared = np.full_like(x, np.inf)
  inside = np.zeros(x.shape, bool)
  for (x0, y0), (x1, y1) in zip(
    polygon.tolist(), np.roll(polygon, -1, axis=0).tolist(), strict=True
  ):
    edge_x, edge_y = x1 - x0, y1 - y0
    to_x, to_y = x - x0, y - y0
    along = (to_x * edge_x + to_y * edge_y) / (edge_x**2 + edge_y**2)
    along = np.clip(along, 0, 1)
    off_x, off_y = to_x - along * edge_x, to_y - along * edge_y
    squared = np.minimum(squared, off_x**2 + off_y**2)
    # Even-odd rule: a point is inside if a ray from it towards +x crosses an
    # odd number of edges.
    crosses = (y >= y0) != (y >= y1)
    is_right = (to_y * edge_x > to_x * edge_y) == (y1 > y0)
    inside ^= crosses & is_right
  distance = np.sqrt(squared)
  return np.where(inside, -distance, distance)
