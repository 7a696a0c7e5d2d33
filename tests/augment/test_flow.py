"""Flow of known motion and of real clips, beside OpenCV's DIS."""

import itertools

import av
import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hdc_jax.augment import flow

FLOW = jax.jit(flow.dense_flow)
SIZE = 64


def waves(shift):
  """A smooth texture [SIZE, SIZE, 3] moved by rows and columns [..., 2]."""
  rng = np.random.default_rng(0)
  places = np.stack(np.mgrid[:SIZE, :SIZE], axis=-1) - np.asarray(shift)
  waves = 0.0
  for _ in range(20):
    angle, phase = rng.uniform(0, 2 * np.pi, 2)
    direction = np.array([np.sin(angle), np.cos(angle)])
    length = rng.uniform(10, 40)
    waves += np.sin(2 * np.pi * places @ direction / length + phase)
  return np.repeat(0.5 + 0.04 * waves[..., None], 3, axis=-1)


def moving(velocity, frames=3):
  """A clip of the texture at a constant velocity."""
  velocity = np.asarray(velocity, float)
  return jnp.float32([waves(velocity * t) for t in range(frames)])


def error(flows, velocity):
  """Mean distance from the velocity in the middle, in pixels."""
  return np.linalg.norm(flows - np.array(velocity), axis=-1)[
    :, 10:-10, 10:-10
  ].mean()


def dis(frames):
  """Flow of OpenCV in rows and columns."""
  grey = np.uint8(np.mean(frames, axis=-1) * 255)
  solver = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
  pairs = itertools.pairwise(grey)
  return np.stack([solver.calc(a, b, None)[..., ::-1] for a, b in pairs])


@pytest.mark.parametrize(
  "velocity", [(0, 0), (0, 3), (3, 0), (-2, 1), (0.5, -0.25), (-1.5, -1.5)]
)
def test_known_motion(velocity):
  clip = moving(velocity)
  mean = error(FLOW(clip), velocity)
  assert mean < 0.1
  assert mean < 0.05 + error(dis(clip), velocity)


def test_motion_in_one_half():
  """Nothing moves at the left, and all at the right."""
  clip = moving((0, 2))
  clip = clip.at[:, :, : SIZE // 2].set(clip[:1, :, : SIZE // 2])
  across = np.asarray(FLOW(clip))[:, 16:-16, :, 1]
  np.testing.assert_allclose(across[:, :, 8:16], 0.0, atol=0.3)
  np.testing.assert_allclose(across[:, :, -16:-8], 2.0, atol=0.3)


def test_explains_real_motion(clips):
  """What flow leaves of the change between frames, against what DIS leaves."""
  with av.open(str(clips / "carphone.mp4")) as container:
    frames = [
      cv2.resize(frame.to_ndarray(format="rgb24"), (112, 112))
      for _, frame in zip(range(20), container.decode(video=0), strict=False)
    ]
  clip = np.float32(frames[::4]) / 255

  def left(flows):
    y, x = np.mgrid[:112, :112].astype(np.float32)
    moved = [
      cv2.remap(
        frame,
        x + f[..., 1],
        y + f[..., 0],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
      )
      for frame, f in zip(clip[1:], np.float32(flows), strict=True)
    ]
    return np.abs(moved - clip[:-1]).mean()

  mine, theirs = left(FLOW(clip)), left(dis(clip))
  nothing = left(np.zeros((4, 112, 112, 2)))
  assert mine < 0.7 * nothing
  assert mine < 1.3 * theirs


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.25, 2.5])
def test_scaled_motion(factor):
  """A texture moves by the scaled amount, in every frame alike."""
  scaling = jax.jit(flow.FlowScaling(factor, factor))
  clip = moving((1, -1.5), frames=4)
  out = scaling(jax.random.key(0), clip)
  want = moving((factor, -1.5 * factor), frames=4)
  np.testing.assert_array_equal(out[0], clip[0])
  inner = np.s_[:, 16:-16, 16:-16]
  np.testing.assert_allclose(out[inner], want[inner], atol=0.08)
  # The texture itself differs by far more over the same distances.
  assert np.abs(want[inner][1] - want[inner][0]).max() > 0.08 * factor


@pytest.mark.slow
def test_one_factor_per_clip_drawn_from_the_range():
  """Told by the flow of what comes out."""
  scaling = flow.FlowScaling(0.5, 2.0, least=1.0)
  keys = jax.random.split(jax.random.key(0), 60)
  clip = moving((0, 1), frames=4)
  measure = jax.jit(lambda key: flow.dense_flow(scaling(key, clip)))
  flows = np.stack([measure(key) for key in keys])
  factors = flows[:, :, 16:-16, 16:-16, 1].mean((2, 3))
  np.testing.assert_allclose(factors, factors[:, :1].repeat(3, 1), atol=0.1)
  factors = factors[:, 0]
  assert abs(np.mean(factors < 1.1) - 0.4) < 0.2  # a third is raised to 1
  assert factors.min() > 0.9
  assert 1.8 < factors.max() < 2.1


@pytest.mark.slow
def test_frames_follow_flow_upon_flow():
  """A point carried over flows that differ; the edge goes on behind it."""
  first = jnp.zeros((9, 9, 3)).at[2, 1].set(1.0).at[:, 0].set(0.5)
  flows = jnp.stack(
    [jnp.full((9, 9, 2), jnp.array(v)) for v in ([0.0, 2.0], [3.0, 1.0])]
  )
  out = flow.advect(first, flows)
  np.testing.assert_array_equal(out[0], first)
  np.testing.assert_allclose(out[1], jnp.roll(first, 2, 1).at[:, :2].set(0.5))
  want = jnp.zeros((9, 9, 3)).at[5, 4].set(1.0).at[:, :4].set(0.5)
  np.testing.assert_allclose(out[2], want)
