"""Objects of synthetic videos: two-toned outlines that move."""

import dataclasses

import numpy as np

from hdc_jax.data.synthetic.outlines import SHAPES, signed_distance

_OUTLINE = 1.0  # Width of the object's outline in pixels.


@dataclasses.dataclass(frozen=True, eq=False)
class Object:
  """An object and its way through consecutive frames of a video.

  Attributes:
    shape: Outline of the object, a key of `SHAPES`.
    tones: Colours of the object's two halves, float64 `[2, RGB]` in [0, 255].
    poses: Pose of the object in each of its frames, float64 `[N, 4]`, see
      `motions.draw_poses`.
    first_frame: Index of the first frame that shows the object.
  """

  shape: str
  tones: np.ndarray
  poses: np.ndarray
  first_frame: int = 0

  def paint(self, frames: np.ndarray) -> None:
    """Draws the object into the frames of a video, in place.

    The two halves differ in tone, so that no shape is symmetric under rotation.
    Each half is outlined in the tone of the other, so that it contrasts with
    any background.

    Args:
      frames: RGB, uint8 `[T, height, width, 3]`.
    """
    patch, border, sideways = self._locate(frames.shape)
    size = self.poses[:, 2, None, None].astype(np.float32)
    # The fraction of each pixel that is covered; it goes from 1 to 0 from half
    # a pixel inside a border to half a pixel outside of it.
    visible = np.clip(0.5 - border, 0, 1)
    filled = np.clip(0.5 - border - _OUTLINE, 0, 1)
    light = np.clip(0.5 + size * sideways, 0, 1)
    # Within the outline, dark and light are exchanged.
    light = filled * light + (1 - filled) * (1 - light)
    dark_tone, light_tone = self.tones.astype(np.float32)
    colour = dark_tone + light[..., None] * (light_tone - dark_tone)

    background = frames[patch]
    mixed = background + visible[..., None] * (colour - background)
    frames[patch] = np.rint(mixed).astype(np.uint8)

  def cover(self, covered: np.ndarray) -> None:
    """Marks the pixels of which the object covers at least a half, in place.

    Args:
      covered: bool `[T, height, width]`.
    """
    patch, border, _ = self._locate(covered.shape)
    covered[patch] |= border <= 0

  def _locate(
    self, shape: tuple[int, ...]
  ) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
    """Measures a square patch around the object that holds its largest size.

    Args:
      shape: Shape of the frames, `[T, height, width, ...]`.

    Returns:
      The index of the patch's pixels in the frames, for all frames at once;
      their distances from the object's border in pixels, negative inside; and
      their coordinates across the object in units of its size, positive in the
      light half. The latter two are float32 `[N, rows, columns]`.
    """
    _, height, width = shape[:3]
    x, y, size, angle = self.poses.astype(np.float32).T[:, :, None, None]
    radius = int(np.ceil(size.max())) + 1
    offsets = np.arange(-radius, radius + 1)
    rows = np.rint(y).astype(int) + offsets[:, None]
    columns = np.rint(x).astype(int) + offsets
    rows = np.clip(rows, 0, height - 1)
    columns = np.clip(columns, 0, width - 1)

    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    right, down = columns - x, rows - y
    forward, sideways = cos * right + sin * down, cos * down - sin * right
    border = size * signed_distance(SHAPES[self.shape], forward, sideways)
    times = self.first_frame + np.arange(len(self.poses))[:, None, None]
    return (times, rows, columns), border, sideways


def draw_look(rng: np.random.Generator) -> tuple[str, np.ndarray]:
  """Draws the shape and the tones of an object.

  Args:
    rng: Generator of the random numbers.

  Returns:
    The attributes `shape` and `tones` of `Object`.
  """
  shape = str(rng.choice(list(SHAPES)))
  # One half is dark, one light, so that one contrasts with any background.
  return shape, rng.uniform([[0], [160]], [[95], [255]], size=(2, 3))
