"""Families of procedural textures, told apart by their pattern only.

A family is a scalar field with free parameters (scale, angle, offset).
Equalising its ranks makes the values of every field exactly uniform, and a
palette drawn in the same way for all families colours them: colour statistics,
and the contrast of an object with what it moves over, say nothing about the
family. Bent coordinates and a fixed grain, again the same for all, keep a
video encoder from predicting one piece of a regular texture from another; else
the small errors around a moving object would betray the regular families.
"""

from collections.abc import Callable

import numpy as np

_VARIATION = (0.92, 1.08)  # of the wavelength within a family
_BEND = 0.02  # amplitude of each of the two waves, of the short side
_GRAIN = 8.0  # standard deviation, of 255


def paint_scene(
  family: int, rng: np.random.Generator, height: int, width: int
) -> np.ndarray:
  """Draws one scene of a family.

  Args:
    family: index into `SCENES`.
    rng: source of the scene's parameters and palette.
    height: in pixels.
    width: in pixels.

  Returns:
    uint8 RGB `[height, width, 3]`.
  """
  palette = _draw_palette(rng)
  side = min(height, width)
  # Coordinates with the origin in the middle, in units of the short side.
  y, x = np.mgrid[:height, :width]
  y, x = (y - (height - 1) / 2) / side, (x - (width - 1) / 2) / side
  x, y = _bend(rng, x, y)
  paint, wavelength = _FAMILIES[SCENES[family]]
  field = paint(rng, x, y, wavelength * rng.uniform(*_VARIATION))
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
  """Draws three colours `[3, RGB]` in [0, 1]: dark, middle, light."""
  tones = np.array((0.0, 0.25, 0.5))
  return tones[:, None] + rng.uniform(0, 0.5, size=(3, 3))


def _bend(
  rng: np.random.Generator, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Coordinates displaced by slow waves, two along each axis."""
  angle, phase = rng.uniform(0, 2 * np.pi, size=(2, 4, 1, 1))
  frequency = 2 * np.pi / rng.uniform(0.5, 0.9, size=(4, 1, 1))
  along = np.cos(angle) * x + np.sin(angle) * y
  waves = _BEND * np.sin(frequency * along + phase)
  return x + waves[0] + waves[1], y + waves[2] + waves[3]


def _lattice(
  rng: np.random.Generator, x: np.ndarray, y: np.ndarray, wavelength: float
) -> tuple[np.ndarray, np.ndarray]:
  """Coordinates in wavelengths, turned and shifted at random."""
  angle = rng.uniform(0, 2 * np.pi)
  u = (np.cos(angle) * x + np.sin(angle) * y) / wavelength
  v = (np.cos(angle) * y - np.sin(angle) * x) / wavelength
  shift = rng.uniform(size=2)
  return u + shift[0], v + shift[1]


def _polar(
  rng: np.random.Generator, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Radius and angle around a random point in the middle of the frame."""
  x0, y0 = rng.uniform(-0.25, 0.25, size=2)
  return np.hypot(x - x0, y - y0), np.arctan2(y - y0, x - x0)


def _edge_distance(u: np.ndarray) -> np.ndarray:
  """Distance to the nearest whole number."""
  return np.abs(u - np.rint(u))


def _stripes(
  rng: np.random.Generator, x: np.ndarray, y: np.ndarray, wavelength: float
) -> np.ndarray:
  u, _ = _lattice(rng, x, y, wavelength)
  return np.cos(2 * np.pi * u)


def _checks(
  rng: np.random.Generator, x: np.ndarray, y: np.ndarray, wavelength: float
) -> np.ndarray:
  # Along the diagonal of the squares a wavelength holds one of each colour.
  u, v = _lattice(rng, x, y, wavelength * np.sqrt(0.5))
  parity = (np.floor(u) + np.floor(v)) % 2
  return (2 * parity - 1) * np.minimum(_edge_distance(u), _edge_distance(v))


def _rings(
  rng: np.random.Generator, x: np.ndarray, y: np.ndarray, wavelength: float
) -> np.ndarray:
  radius, _ = _polar(rng, x, y)
  return np.cos(2 * np.pi * (radius / wavelength + rng.uniform()))


def _dots(
  rng: np.random.Generator, x: np.ndarray, y: np.ndarray, wavelength: float
) -> np.ndarray:
  # Three waves 120° apart peak together on a hexagonal lattice.
  u, v = _lattice(rng, x, y, wavelength)
  thirds = 2 * np.pi * np.arange(3) / 3
  waves = [np.cos(2 * np.pi * (np.cos(a) * u + np.sin(a) * v)) for a in thirds]
  return np.sum(waves, axis=0)


def _cells(
  rng: np.random.Generator, x: np.ndarray, y: np.ndarray, wavelength: float
) -> np.ndarray:
  # One seed in each square of a lattice; the field is zero on the border
  # between the two nearest seeds.
  u, v = _lattice(rng, x, y, wavelength)
  rows = np.arange(np.floor(v.min()) - 1, np.ceil(v.max()) + 1)
  columns = np.arange(np.floor(u.min()) - 1, np.ceil(u.max()) + 1)
  corners = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
  seeds = corners + rng.uniform(size=corners.shape)
  distances = np.hypot(*(np.stack((u, v))[..., None] - seeds.T[:, None, None]))
  nearest, second = np.moveaxis(np.partition(distances, 1)[..., :2], -1, 0)
  return second - nearest


def _clouds(
  rng: np.random.Generator, x: np.ndarray, y: np.ndarray, wavelength: float
) -> np.ndarray:
  # Noise whose spectrum is flat up to the wavelength and falls off beyond it.
  height, width = x.shape
  step = 1 / min(height, width)
  frequency = np.hypot(
    np.fft.fftfreq(height, step)[:, None], np.fft.rfftfreq(width, step)
  )
  falloff = (1 + (wavelength * frequency) ** 2) ** -rng.uniform(1.0, 1.5)
  noise = np.fft.rfft2(rng.normal(size=x.shape))
  return np.fft.irfft2(noise * falloff, s=x.shape)


def _bricks(
  rng: np.random.Generator, x: np.ndarray, y: np.ndarray, wavelength: float
) -> np.ndarray:
  u, v = _lattice(rng, x, y, wavelength)
  length = rng.uniform(1.8, 2.4)
  along = u / length + 0.5 * (np.floor(v) % 2)
  return np.minimum(length * _edge_distance(along), _edge_distance(v))


def _rays(
  rng: np.random.Generator, x: np.ndarray, y: np.ndarray, wavelength: float
) -> np.ndarray:
  # As many as give the wavelength at a typical distance from the middle.
  _, angle = _polar(rng, x, y)
  count = round(2 * np.pi * 0.4 / wavelength)
  return np.cos(count * angle + rng.uniform(0, 2 * np.pi))


_Field = Callable[
  [np.random.Generator, np.ndarray, np.ndarray, float], np.ndarray
]
# Each with its typical wavelength as a fraction of the short side: like real
# scenes, some are finer than others. A wider spread drowns the motions: at 0.10
# to 0.42 a network learns scenes alone in the steps of the demo, and with one
# wavelength for all, motions alone.
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
