"""Families of procedural textures that differ in their pattern only.

A family is a scalar field with random parameters (scale, angle, offset). Its
values are replaced by their ranks, which are exactly uniform, and coloured with
a palette that is drawn in the same way for all families. So neither colour
statistics nor the contrast between an object and its background tell the
family. Slightly bent coordinates and a static grain, the same for all families,
keep a video encoder from predicting one part of a regular texture from another;
otherwise small errors around a moving object would give the regular families
away.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_VARIATION = (0.92, 1.08)  # Factor of the wavelength, within a family.
_BEND = 0.02  # Amplitude of each bending wave, as a fraction of the short side.
_GRAIN = 8.0  # Standard deviation of the grain, on a scale of 255.


class _Plane(NamedTuple):
  """Coordinates of the pixels of a scene.

  Attributes:
    x: Float64 `[height, width]`, in units of `side`.
    y: Float64 `[height, width]`, in units of `side`.
    side: Number of pixels in a unit: the short side of a frame.
  """

  x: np.ndarray
  y: np.ndarray
  side: int


def paint_scene(
  family: int,
  rng: np.random.Generator,
  height: int,
  width: int,
  side: int | None = None,
) -> np.ndarray:
  """Paints one scene of a family.

  Args:
    family: Index into `SCENES`.
    rng: Generator of the scene's parameters, palette and grain.
    height: Height of the scene in pixels.
    width: Width of the scene in pixels.
    side: Short side of the frames that show the scene, in pixels, of which the
      wavelengths are fractions; by default that of the scene. A scene larger
      than a frame goes on in the same pattern.

  Returns:
    RGB, uint8 `[height, width, 3]`.

  Example:
    >>> scene = paint_scene(0, np.random.default_rng(0), height=72, width=96)
    >>> scene.shape, scene.dtype
    ((72, 96, 3), dtype('uint8'))
  """
  palette = _draw_palette(rng)
  side = side or min(height, width)
  # Coordinates in units of the short side, with the origin in the middle.
  y, x = np.mgrid[:height, :width]
  y, x = (y - (height - 1) / 2) / side, (x - (width - 1) / 2) / side
  plane = _Plane(*_bend(rng, x, y), side)
  draw_field, wavelength = _FAMILIES[SCENES[family]]
  field = draw_field(rng, plane, wavelength * rng.uniform(*_VARIATION))
  values = _equalize(field)
  stops = np.linspace(0, 1, len(palette))
  channels = [np.interp(values, stops, channel) for channel in palette.T]
  grain = rng.normal(0, _GRAIN, size=(height, width, 1))
  image = 255 * np.stack(channels, axis=-1) + grain
  return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _equalize(field: np.ndarray) -> np.ndarray:
  """Replaces values by their ranks, scaled to [0, 1]."""
  ranks = np.empty(field.size)
  ranks[np.argsort(field, axis=None, kind="stable")] = np.arange(field.size)
  return ranks.reshape(field.shape) / (field.size - 1)


def _draw_palette(rng: np.random.Generator) -> np.ndarray:
  """Draws a dark, a middle and a light colour, float64 `[3, RGB]` in [0, 1]."""
  tones = np.array((0.0, 0.25, 0.5))
  return tones[:, None] + rng.uniform(0, 0.5, size=(3, 3))


def _bend(
  rng: np.random.Generator, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Displaces coordinates by slow random waves, two along each axis."""
  angle, phase = rng.uniform(0, 2 * np.pi, size=(2, 4, 1, 1))
  frequency = 2 * np.pi / rng.uniform(0.5, 0.9, size=(4, 1, 1))
  along = np.cos(angle) * x + np.sin(angle) * y
  waves = _BEND * np.sin(frequency * along + phase)
  return x + waves[0] + waves[1], y + waves[2] + waves[3]


def _lattice(
  rng: np.random.Generator, plane: _Plane, wavelength: float
) -> tuple[np.ndarray, np.ndarray]:
  """Rotates and shifts coordinates at random, in units of the wavelength."""
  angle = rng.uniform(0, 2 * np.pi)
  x, y = plane.x, plane.y
  u = (np.cos(angle) * x + np.sin(angle) * y) / wavelength
  v = (np.cos(angle) * y - np.sin(angle) * x) / wavelength
  shift = rng.uniform(size=2)
  return u + shift[0], v + shift[1]


def _polar(
  rng: np.random.Generator, plane: _Plane
) -> tuple[np.ndarray, np.ndarray]:
  """Returns radius and angle around a random point near the frame's centre."""
  x0, y0 = rng.uniform(-0.25, 0.25, size=2)
  x, y = plane.x - x0, plane.y - y0
  return np.hypot(x, y), np.arctan2(y, x)


def _edge_distance(u: np.ndarray) -> np.ndarray:
  """Returns the distance to the nearest whole number."""
  return np.abs(u - np.rint(u))


def _stripes(
  rng: np.random.Generator, plane: _Plane, wavelength: float
) -> np.ndarray:
  u, _ = _lattice(rng, plane, wavelength)
  return np.cos(2 * np.pi * u)


def _checks(
  rng: np.random.Generator, plane: _Plane, wavelength: float
) -> np.ndarray:
  # Along the diagonal of the squares, a wavelength is one square per colour.
  u, v = _lattice(rng, plane, wavelength * np.sqrt(0.5))
  parity = (np.floor(u) + np.floor(v)) % 2
  return (2 * parity - 1) * np.minimum(_edge_distance(u), _edge_distance(v))


def _rings(
  rng: np.random.Generator, plane: _Plane, wavelength: float
) -> np.ndarray:
  radius, _ = _polar(rng, plane)
  return np.cos(2 * np.pi * (radius / wavelength + rng.uniform()))


def _dots(
  rng: np.random.Generator, plane: _Plane, wavelength: float
) -> np.ndarray:
  # Three waves whose directions are 120° apart peak on a hexagonal lattice.
  u, v = _lattice(rng, plane, wavelength)
  thirds = 2 * np.pi * np.arange(3) / 3
  waves = [np.cos(2 * np.pi * (np.cos(a) * u + np.sin(a) * v)) for a in thirds]
  return np.sum(waves, axis=0)


def _cells(
  rng: np.random.Generator, plane: _Plane, wavelength: float
) -> np.ndarray:
  # A Voronoi diagram of one random seed per square of a lattice. The field is
  # the difference of the distances to the two nearest seeds.
  u, v = _lattice(rng, plane, wavelength)
  rows = np.arange(np.floor(v.min()) - 1, np.ceil(v.max()) + 1)
  columns = np.arange(np.floor(u.min()) - 1, np.ceil(u.max()) + 1)
  corners = np.stack(np.meshgrid(columns, rows), axis=-1)
  seeds = corners + rng.uniform(size=corners.shape)
  # Both nearest seeds lie in the 5×5 squares around a point: its own square and
  # the nearest other one hold seeds within a distance of 1.9. Beyond the edge
  # of the lattice there are none.
  seeds = np.pad(seeds, ((2, 2), (2, 2), (0, 0)), constant_values=np.inf)
  row = (np.floor(v) - rows[0]).astype(int)
  column = (np.floor(u) - columns[0]).astype(int)
  nearest = np.full(u.shape, np.inf)
  second = nearest
  for down in range(5):
    for right in range(5):
      seed_u, seed_v = np.moveaxis(seeds[row + down, column + right], -1, 0)
      distance = np.hypot(u - seed_u, v - seed_v)
      second = np.minimum(second, np.maximum(nearest, distance))
      nearest = np.minimum(nearest, distance)
  return second - nearest


def _clouds(
  rng: np.random.Generator, plane: _Plane, wavelength: float
) -> np.ndarray:
  # Noise whose spectrum is flat for longer waves than the wavelength and falls
  # off for shorter ones.
  height, width = plane.x.shape
  step = 1 / plane.side
  frequency = np.hypot(
    np.fft.fftfreq(height, step)[:, None], np.fft.rfftfreq(width, step)
  )
  falloff = (1 + (wavelength * frequency) ** 2) ** -rng.uniform(1.0, 1.5)
  noise = np.fft.rfft2(rng.normal(size=plane.x.shape))
  return np.fft.irfft2(noise * falloff, s=plane.x.shape)


def _bricks(
  rng: np.random.Generator, plane: _Plane, wavelength: float
) -> np.ndarray:
  u, v = _lattice(rng, plane, wavelength)
  length = rng.uniform(1.8, 2.4)
  along = u / length + 0.5 * (np.floor(v) % 2)
  return np.minimum(length * _edge_distance(along), _edge_distance(v))


def _rays(
  rng: np.random.Generator, plane: _Plane, wavelength: float
) -> np.ndarray:
  # The number of rays gives the wavelength at a typical distance, 0.4.
  _, angle = _polar(rng, plane)
  count = round(2 * np.pi * 0.4 / wavelength)
  return np.cos(count * angle + rng.uniform(0, 2 * np.pi))


# Maps a random generator, a plane and a wavelength, in units of the short side,
# to a scalar field, float64 `[H, W]`.
_Field = Callable[[np.random.Generator, _Plane, float], np.ndarray]
# The field of each family, and its wavelength as a fraction of the short side.
# Choice: like real scenes, some families are finer than others. In the steps of
# the demo a network learns only scenes if the wavelengths differ more (0.10 to
# 0.42), and only motions if all families have the same.
_FAMILIES: dict[str, tuple[_Field, float]] = {
  "stripes": (_stripes, 0.19),
  "checks": (_checks, 0.14),
  "rings": (_rings, 0.31),
  "dots": (_dots, 0.12),
  "cells": (_cells, 0.22),
  "clouds": (_clouds, 0.36),
  "bricks": (_bricks, 0.16),
  "rays": (_rays, 0.26),
}
SCENES: tuple[str, ...] = tuple(_FAMILIES)
