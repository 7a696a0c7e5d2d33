"""Class activation maps: which part of a clip a class is recognised by.

Zhou et al., "Learning deep features for discriminative localization", 2016.
"""

import dataclasses
from collections.abc import Sequence

import matplotlib
import numpy as np
import scipy.ndimage
from etils import epath

from hdc_jax.report.figures import canvas

_COLOURS = "inferno"
_OPAQUE = 0.75  # at most: the frame is seen even where the heat is high
# In pixels. Pages show a sheet at about half its size: crisp on dense screens.
_SIDE = 96  # height of the frames
_WIDTH = 1700  # of a sheet that has several examples side by side
_LINE_GAP, _CAPTION, _ROW_GAP, _COLUMN_GAP = 4, 40, 22, 40


@dataclasses.dataclass(frozen=True)
class Example:
  """A clip, and where it was looked at.

  Attributes:
    frames: uint8 RGB [T, H, W, 3].
    heat: float32 [T, H, W] in [0, 1], see `activation_map`.
    caption: Its class, say.
    correct: Whether that was recognised.
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
  """How much each place of a clip speaks for a class.

  Args:
    features: float32 [T', H', W', C], before they are averaged.
    weights: float32 [C], of the class, in the layer after the average.
    frames: Number of frames of the clip.
    height: Of its frames.
    width: Of its frames.

  Returns:
    float32 [frames, height, width] in [0, 1]: what speaks for the class, by its
    maximum over the clip, interpolated linearly in time and space. All 0 if
    nothing does.

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
  # In grid mode a value is at the centre of what it covers.
  return scipy.ndimage.zoom(
    heat,
    np.divide(size, heat.shape),
    order=1,
    mode="nearest",
    grid_mode=True,
  )


def overlay(frames: np.ndarray, heat: np.ndarray) -> np.ndarray:
  """Frames with the colours of the heat over them, the more the hotter.

  Args:
    frames: uint8 RGB [T, H, W, 3].
    heat: float32 [T, H, W] in [0, 1].

  Returns:
    uint8 [T, H, W, 3].

  Raises:
    ValueError: If frames and heat are not of one size.
  """
  if frames.dtype != np.uint8 or frames.shape != (*heat.shape, 3):
    raise ValueError(
      f"frames are {frames.dtype} {list(frames.shape)} and heat is "
      f"{list(heat.shape)}: give uint8 [T, H, W, 3] and [T, H, W]"
    )
  colours = 255 * matplotlib.colormaps[_COLOURS](heat)[..., :3]
  opacity = _OPAQUE * heat[..., None]
  return np.rint(frames + opacity * (colours - frames)).astype(np.uint8)


def draw(examples: Sequence[Example], path: epath.PathLike) -> None:
  """Draws the frames of each example, the same with the heat over them below.

  Args:
    examples: All of one number and size of frames.
    path: Of the PNG to write. Its background is transparent.

  Raises:
    ValueError: If there is nothing to draw, or the sizes differ.
  """
  shapes = {example.frames.shape for example in examples}
  if len(shapes) != 1:
    raise ValueError(
      f"examples have frames of {sorted(shapes)}: give at least one example, "
      "and to each as many frames, of one size"
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
    line = top + lower + _SIDE + _CAPTION / 2
    sheet.verdict(left, line, example.caption, width, example.correct)
  sheet.write(path)
