"""Dense optical flow on the device, and clips whose motion is scaled (DSM).

The flow is that of the iterative, pyramidal method of Lucas and Kanade (1981;
Bouguet, "Pyramidal implementation of the Lucas Kanade feature tracker", 2000),
solved for every pixel.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hdc_jax.augment import blur, resampling, warp

# The levels of the image pyramid, from coarse to fine: the factor by which each
# reduces height and width. Full resolution would cost four times as much as all
# of these, and improve the flow little.
_PYRAMID = (8, 4, 2)
# Iterations of least squares at each level.
_ITERATIONS = 2
# Standard deviation of the Gaussian window, in pixels of the level.
_WINDOW_SIGMA = 3.0
# Added to the diagonal of the structure tensor (of intensities in [0, 1]), so
# that the flow of windows without texture stays near 0.
_REGULARISATION = 1e-4


def dense_flow(
  frames: Float[Array, "t h w 3"],
) -> Float[Array, "t-1 h w 2"]:
  """Estimates the optical flow from every frame of a clip to the next.

  Choice: Lucas and Kanade's least squares in Gaussian windows, from a coarse
  level of an image pyramid to half the resolution: it runs on the device inside
  the training step, and half the resolution suffices to tell what moves. The
  mean error on smooth textures of 224 pixels that move by 0.5 to 3 pixels is
  0.07 pixels; that of OpenCV's DIS is 0.05 (preset medium) or 0.10 (fast). When
  frames of real clips are warped by the flow, 36 % of the difference between
  consecutive frames remains; with DIS 32 % (medium) or 41 % (fast).

  Args:
    frames: float32 [T, H, W, 3], RGB in [0, 1]; H and W at least 16.

  Returns:
    float32 [T - 1, H, W, 2], the displacement of each pixel in pixels: rows
    (down), then columns (right).

  Example:
    A still clip has no flow.

    >>> frames = jnp.broadcast_to(jnp.eye(16)[..., None], (3, 16, 16, 3))
    >>> flow = jax.jit(dense_flow)(frames)
    >>> flow.shape, float(jnp.abs(flow).max())
    ((2, 16, 16, 2), 0.0)
  """
  _, height, width, _ = frames.shape
  grey = jnp.mean(frames, axis=-1, keepdims=True)
  flow = jnp.zeros((len(frames) - 1, 1, 1, 2))
  for factor in _PYRAMID:
    level = _resize(grey, height // factor, width // factor)
    flow = _refine(level[:-1, :, :, 0], level[1:], _resize_flow(flow, level))
  return _resize_flow(flow, frames)


def _refine(
  first: Float[Array, "t h w"],
  second: Float[Array, "t h w 1"],
  flow: Float[Array, "t h w 2"],
) -> Float[Array, "t h w 2"]:
  """Refines the flow at one level of the pyramid by iterated least squares.

  Each iteration warps the second frame back by the current flow and solves, in
  a window about every pixel, for the step that explains the residual by the
  gradients of the first frame: (Σ ∇I ∇Iᵀ) step = Σ ∇I · residual.

  Args:
    first: float32 [T, H, W], intensities of the earlier frame of each pair.
    second: float32 [T, H, W, 1], intensities of the later one.
    flow: float32 [T, H, W, 2], initial flow in pixels of this level.

  Returns:
    float32 [T, H, W, 2], the refined flow.
  """
  _, height, width = first.shape
  coordinates = warp.pixel_coordinates(height, width)
  last = jnp.array([height - 1, width - 1])
  dy, dx = jnp.gradient(first, axis=(1, 2))
  for _ in range(_ITERATIONS):
    targets = coordinates + flow
    residual = first - jax.vmap(warp.sample)(second, targets)[..., 0]
    # Pixels that the flow moves out of the picture have no counterpart.
    valid = jnp.all((targets >= 0) & (targets <= last), axis=-1)
    products = [dy * dy, dy * dx, dx * dx, dy * residual, dx * residual]
    sums = _window(jnp.stack([valid * x for x in products], axis=-1))
    # The structure tensor [[yy, yx], [yx, xx]] and the right-hand side.
    yy, yx, xx, ry, rx = jnp.moveaxis(sums, -1, 0)
    yy, xx = yy + _REGULARISATION, xx + _REGULARISATION
    step = jnp.stack([xx * ry - yx * rx, yy * rx - yx * ry], axis=-1)
    determinant = yy * xx - yx * yx
    # The linearisation of the intensities holds over about one pixel.
    flow += jnp.clip(step / determinant[..., None], -1.0, 1.0)
  return flow


def _window(planes: Float[Array, "t h w c"]) -> Float[Array, "t h w c"]:
  """The Gaussian-weighted sum of each plane in the window about every pixel."""
  taps = 2 * int(3 * _WINDOW_SIGMA) + 1
  rows, columns = (
    blur.blur_matrix(_WINDOW_SIGMA, taps, size) for size in planes.shape[1:3]
  )
  return resampling.separable(rows, planes, columns)


def _resize(
  planes: Float[Array, "t h w c"], height: int, width: int
) -> Float[Array, "t {height} {width} c"]:
  """Resizes whole planes to another height and width."""
  rows, columns = (
    resampling.resize_matrix(0, old, old, new)
    for old, new in zip(planes.shape[1:3], (height, width), strict=True)
  )
  return resampling.separable(rows, planes, columns)


def _resize_flow(
  flow: Float[Array, "t h w 2"], like: Float[Array, "_ i j _"]
) -> Float[Array, "t i j 2"]:
  """Resizes flow to the frames of `like`, and scales it to their pixels."""
  (_, height, width, _), (_, old_height, old_width, _) = like.shape, flow.shape
  scale = jnp.array([height / old_height, width / old_width])
  return _resize(flow, height, width) * scale


@dataclasses.dataclass(frozen=True)
class FlowScaling:
  """DSM's temporal disturbance by flow: keeps the scene, breaks the motion.

  The optical flow of the clip, times a factor, moves the first frame; the
  result is moved by the flow of the next pair, and so on, as in the reference
  code. So whatever moves does so slower or faster than in the clip. Choice:
  each clip has one factor, for all its frames. Choice: the positions of pixels
  are accumulated, not the colours of warped frames, so that later frames are as
  sharp as the first. Choice: what comes into view shows the nearest edge.

  Attributes:
    low: Lower end of the range from which the factor is drawn uniformly.
    high: Upper end of that range.
    least: Smallest factor; smaller draws are raised to it.
  """

  low: float = 0.0
  high: float = 5.0
  least: float = 0.01

  def __call__(
    self, key: Key[Array, ""], frames: Float[Array, "t h w 3"]
  ) -> Float[Array, "t h w 3"]:
    """Scales the motion of one clip.

    Args:
      key: Random key of the clip.
      frames: float32 [T, H, W, 3], RGB in [0, 1]; H and W at least 16.

    Returns:
      float32 [T, H, W, 3], RGB in [0, 1]; the first frame is the clip's.
    """
    factor = jax.random.uniform(key, minval=self.low, maxval=self.high)
    factor = jnp.maximum(factor, self.least)
    return advect(frames[0], factor * dense_flow(frames))


def advect(
  first: Float[Array, "h w 3"], flows: Float[Array, "t h w 2"]
) -> Float[Array, "t+1 h w 3"]:
  """Moves a frame along a sequence of flows.

  Args:
    first: float32 [H, W, 3], the frame.
    flows: float32 [T, H, W, 2], displacements in pixels (rows, columns), each
      from one frame to the next.

  Returns:
    float32 [T + 1, H, W, 3]: the frame, and the frame moved by the first flow,
    by the first two flows, and so on.

  Example:
    Two flows of one column each move a bright first column to the right; the
    nearest edge follows.

    >>> first = jnp.zeros((1, 4, 3)).at[:, 0].set(1.0)  # H = 1, W = 4
    >>> flows = jnp.broadcast_to(jnp.array([0.0, 1.0]), (2, 1, 4, 2))
    >>> advect(first, flows)[:, 0, :, 0].tolist()
    [[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]]
  """
  coordinates = warp.pixel_coordinates(*first.shape[:2])

  def step(
    origins: Float[Array, "h w 2"], flow: Float[Array, "h w 2"]
  ) -> tuple[Float[Array, "h w 2"], Float[Array, "h w 3"]]:
    """Advances where in the first frame each pixel comes from."""
    origins = warp.sample(origins, coordinates - flow)
    return origins, warp.sample(first, origins)

  _, later = jax.lax.scan(step, coordinates, flows)
  return jnp.concatenate([first[None], later])
