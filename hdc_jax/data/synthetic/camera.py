"""A camera that films a painted scene, which is larger than the frame."""

import dataclasses

import numpy as np
from PIL import Image

from hdc_jax.data.synthetic import trajectories

_POSES = 64  # Number of poses by which the moving part is measured.


@dataclasses.dataclass(frozen=True, eq=False)
class Camera:
  """How a camera moves over the scenes of a video.

  It turns and zooms about the scene's middle, and then moves along the axes of
  the frame: a horizontal motion is horizontal in the frame at any angle.

  Attributes:
    poses: Pose in each frame, float64 `[T, 4]`: x and y of the frame's middle
      from the scene's in pixels of the frame, zoom and angle as in
      `trajectories.draw_poses`.
    rest: Zoom in the middle between the widest view and the closest one.
    canvas: Height and width of the scenes in pixels.
    radius: Radius in pixels of a disc around the scene's middle, seen at this
      zoom, to which the moving picture is limited; around it is what a camera
      at rest sees. Infinite if the whole picture moves.
  """

  poses: np.ndarray
  rest: float
  canvas: int
  radius: float

  def film(self, scene: np.ndarray, span: slice, frames: np.ndarray) -> None:
    """Films a scene with bilinear sampling, in place.

    Args:
      scene: RGB, uint8 `[canvas, canvas, 3]`.
      span: The frames that show it.
      frames: RGB, uint8 `[T, height, width, 3]`.
    """
    image = Image.fromarray(scene)
    height, width = frames.shape[1:3]
    for t in range(*span.indices(len(frames))):
      frames[t] = _sample(image, self.poses[t], height, width)
    if self.radius < np.inf:
      rest = _sample(image, np.array((0, 0, self.rest, 0)), height, width)
      share = self.patch(span, height, width)[..., None]
      mixed = rest + share * (frames[span] - rest.astype(np.float32))
      frames[span] = np.rint(mixed).astype(np.uint8)

  def patch(self, span: slice, height: int, width: int) -> np.ndarray:
    """Fraction of each pixel that the disc covers.

    Args:
      span: The frames to compute it for.
      height: Height of the frames in pixels.
      width: Width of the frames in pixels.

    Returns:
      float32 `[frames in the span, height, width]`.
    """
    middle = self.place(np.zeros(2), span, height, width)
    x, y, scale = middle.astype(np.float32).T[:, :, None, None]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    distance = np.hypot(columns - x, rows - y)
    return np.clip(0.5 + scale * np.float32(self.radius) - distance, 0, 1)

  def place(
    self, point: np.ndarray, span: slice, height: int, width: int
  ) -> np.ndarray:
    """Tells where points of the scene are seen.

    Args:
      point: `[2]` or `[frames in the span, 2]`, x and y in pixels of the scene
        from its middle.
      span: The frames in which they are seen.
      height: Height of the frames in pixels.
      width: Width of the frames in pixels.

    Returns:
      `[frames in the span, 3]`: x and y in the frame (pixel centres have whole
      coordinates), and the factor by which what is there is larger than at
      rest.
    """
    poses = self.poses[span]
    x, y = np.transpose(point / poses[:, 2:3])
    cos, sin = np.cos(poses[:, 3]), np.sin(poses[:, 3])
    return np.stack(
      (
        (width - 1) / 2 + cos * x + sin * y - poses[:, 0],
        (height - 1) / 2 + cos * y - sin * x - poses[:, 1],
        self.rest / poses[:, 2],
      ),
      axis=-1,
    )


def canvas_size(identity: float, height: int, width: int) -> int:
  """Size of a square scene that holds all that a camera can see.

  Args:
    identity: How much trajectories differ, see `trajectories.draw_trajectory`.
    height: Height of the frames in pixels.
    width: Width of the frames in pixels.

  Returns:
    Height and width of the scene in pixels.
  """
  radius, centre = (
    shared + identity * (most - shared)
    for shared, (_, most) in (trajectories.RADIUS, trajectories.CENTRE)
  )
  reach = (radius + np.sqrt(2) * centre) * min(height, width)
  return 2 * int(np.ceil(reach + np.hypot(height, width) / 2) + 2)


def disc_radius(
  trajectory: trajectories.Trajectory, moving: float, height: int, width: int
) -> float:
  """Radius of a moving disc that covers a fraction of the frame.

  The fraction is that of the average pose, which is the same for all motions:
  a radius that depended on the motion would show it.

  Args:
    trajectory: Amplitudes and centre of the motion.
    moving: The fraction, in [0, 1].
    height: Height of the frames in pixels.
    width: Width of the frames in pixels.

  Returns:
    See `Camera.radius`.
  """
  if moving in (0, 1):
    return np.inf if moving else 0.0
  rng = np.random.default_rng(0)
  rest = dataclasses.replace(trajectory, motion=0)
  poses = np.concatenate(
    [trajectories.draw_poses(rest, rng, 1) for _ in range(_POSES)]
  )
  poses[:, :2] *= min(height, width)
  camera = Camera(poses, 1 / trajectory.zoom, 0, np.inf)
  x, y, scale = camera.place(np.zeros(2), slice(None), height, width).T
  rows, columns = np.mgrid[:height:3, :width:3]
  distance = np.hypot(columns.ravel() - x[:, None], rows.ravel() - y[:, None])
  return float(np.quantile(distance / scale[:, None], moving))


def _sample(
  image: Image.Image, pose: np.ndarray, height: int, width: int
) -> np.ndarray:
  """Samples what a camera sees, RGB uint8 `[height, width, 3]`."""
  x, y, zoom, angle = pose
  cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
  # Pillow's coordinates begin at the corner of the first pixel.
  right, down = x - width / 2, y - height / 2
  x = image.width / 2 + cos * right - sin * down
  y = image.height / 2 + sin * right + cos * down
  return np.asarray(
    image.transform(
      (width, height),
      Image.Transform.AFFINE,
      tuple(map(float, (cos, -sin, x, sin, cos, y))),
      Image.Resampling.BILINEAR,
    )
  )
