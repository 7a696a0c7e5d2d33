"""Class activation maps: the parts of a clip by which a class is recognised.

The method is that of Zhou et al., "Learning deep features for discriminative
localization", CVPR 2016.
"""

import dataclasses
from collections.abc import Sequence

import matplotlib
import numpy as np
import scipy.ndimage
from etils import epath

from hdc_jax.report.figures import canvas

_COLOURS = "inferno"
_MAX_OPACITY = 0.75  # so that the frame stays visible where the heat is high
# Sizes in pixels. Pages show a sheet at about half its size, for sharpness
# on dense screens.
_SIDE = 96  # height of the frames
_WIDTH = 1700  # greatest width of a sheet with several examples side by side
_LINE_GAP, _CAPTION, _ROW_GAP, _COLUMN_GAP = 4, 40, 22, 40


@dataclasses.dataclass(frozen=True)
class Example:
  """A clip with its class activation map.

  Attributes:
    frames: RGB uint8 [T, H, W, 3].
    heat: float32 [T, H, W] in [0, 1], see `activation_map`.
    caption: Text below the clip, such as its class.
    correct: Whether the class was recognised.
  """

  frames: np.ndarray
  heat: np.ndarray
  caption: str
  correct: bool


def activation_map(
  features: np.ndarray,
  weights: np.ndarray,
  frames: int,
  height: int,
  width: int,
) -> np.ndarray:
  """How much each position of a clip contributes to the score of a class.

  Args:
    features: float32 [T', H', W', C], the features before the average pool.
    weights: float32 [C], the weights of the class in the linear layer after the
      average pool.
    frames: Number of frames of the clip.
    height: Height of the frames in pixels.
    width: Width of the frames in pixels.

  Returns:
    float32 [frames, height, width] in [0, 1]: the positive contributions as
    fractions of their maximum over the clip, interpolated linearly in time and
    space. All 0 if no contribution is positive.

  Raises:
    ValueError: If features and weights do not fit together.
  """
  if features.ndim != 4 or weights.shape != features.shape[3:]:
    raise ValueError(
      f"features are {list(features.shape)} and weights "
      f"{list(weights.shape)}: give [T', H', W', C] and [C]"
    )
  heat = np.maximum(features @ weights, 0)
  heat = heat / (heat.max() or 1)
  size = frames, height, width
  # In grid mode each value is at the centre of the region that it covers.
  return scipy.ndimage.zoom(
    heat,
    np.divide(size, heat.shape),
    order=1,
    mode="nearest",
    grid_mode=True,
  )


def overlay(frames: np.ndarray, heat: np.ndarray) -> np.ndarray:
  """Blends frames with the colours of the heat, more strongly where it is high.

  Args:
    frames: RGB uint8 [T, H, W, 3].
    heat: float32 [T, H, W] in [0, 1].

  Returns:
    RGB uint8 [T, H, W, 3].

  Raises:
    ValueError: If frames and heat differ in size, or have other dtypes.
  """
  if frames.dtype != np.uint8 or frames.shape != (*heat.shape, 3):
    raise ValueError(
      f"frames are {frames.dtype} {list(frames.shape)} and heat is "
      f"{list(heat.shape)}: give uint8 [T, H, W, 3] and [T, H, W]"
    )
  colours = 255 * matplotlib.colormaps[_COLOURS](heat)[..., :3]
  opacity = _MAX_OPACITY * heat[..., None]
  return np.rint(frames + opacity * (colours - frames)).astype(np.uint8)


def draw(examples: Sequence[Example], path: epath.PathLike) -> None:
  """Draws the frames of each example, and below them the same with the heat.

  Args:
    examples: Examples with the same number of frames, of the same size.
    path: Path of the PNG to write. Its background is transparent.

  Raises:
    ValueError: If there is nothing to draw, or the sizes differ.
  """
  shapes = {example.frames.shape for example in examples}
  if len(shapes) != 1:
    raise ValueError(
      f"examples have frames of {sorted(shapes)}: give at least one example, "
      "and to each the same number of frames, of one size"
    )
  films = [(e.frames, overlay(e.frames, e.heat)) for e in examples]
  strips, palette = canvas.strips([f for pair in films for f in pair], _SIDE)
  width = strips.shape[2]
  lower = _SIDE + _LINE_GAP
  across, down = width + _COLUMN_GAP, lower + _SIDE + _CAPTION + _ROW_GAP
  columns = min(max(1, _WIDTH // across), len(examples))
  rows = -(-len(examples) // columns)
  size = columns * across - _COLUMN_GAP, rows * down - _ROW_GAP
  sheet = canvas.Canvas(size, palette)
  for i, example in enumerate(examples):
    left, top = i % columns * across, i // columns * down
    sheet.paste(left, top, strips[2 * i])
    sheet.paste(left, top + lower, strips[2 * i + 1])
    middle = top + lower + _SIDE + _CAPTION / 2
    sheet.verdict(left, middle, example.caption, width, example.correct)
  sheet.write(path)
