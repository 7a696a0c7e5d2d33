"""Estimates of the cost of a run, from its options, without any data.

FLOPs are those of the network, its gradients and the update, see
`train.flops.count_flops`, without augmentation. Evaluations are estimated with
the official numbers of videos of a dataset, as if each video had 300 frames.
"""

import dataclasses

import jax
import jax.numpy as jnp

from hdc_jax.data.clips.placement import FixedPlacement
from hdc_jax.data.options import Clips, ShownClips
from hdc_jax.train import flops
from hdc_jax.train.training import Training


@dataclasses.dataclass(frozen=True)
class Cost:
  """The cost of a run.

  Attributes:
    steps: Steps of training.
    clips: Clips that the network encodes, in training and in tests.
    flops: Floating-point operations of the network on these clips.
  """

  steps: int = 0
  clips: int = 0
  flops: float = 0.0

  def __add__(self, other: "Cost") -> "Cost":
    return Cost(
      self.steps + other.steps,
      self.clips + other.clips,
      self.flops + other.flops,
    )


def of_training(training: Training, batch_size: int, steps: int) -> Cost:
  """Estimates the cost of some steps of training.

  Args:
    training: The objective and its train step.
    batch_size: Videos per step.
    steps: Number of steps.
  """
  batch = {
    "views": jax.ShapeDtypeStruct(
      (batch_size, *training.views_shape), jnp.float32
    ),
    "label": jax.ShapeDtypeStruct((batch_size, 1), jnp.int32),
  }
  key = jax.eval_shape(lambda: jax.random.key(0))
  state = jax.eval_shape(training.init)
  per_step = flops.count_flops(training.update, state, batch, key)
  clips = batch_size * len(training.objective.views)
  return Cost(steps, steps * clips, steps * per_step)


def clips_per_video(clips: Clips, shown: ShownClips, size: int) -> int:
  """Crops of clips that an evaluation encodes of a video of 300 frames.

  Args:
    clips: Which frames make a clip.
    shown: Which clips are evaluated, and in which crops.
    size: Height and width of the network's views, in pixels.
  """
  placement = FixedPlacement(
    clips.frames,
    clips.stride,
    shown.size or size,
    shown.clips,
    shown.crops,
    fps=clips.fps,
  )
  return placement.estimate


def clip_shape(
  clips: Clips, shown: ShownClips, size: int, axes: tuple[int, ...]
) -> jax.ShapeDtypeStruct:
  """The shape of one crop of a clip, [*axes, T, S, S, 3], float32.

  Args:
    clips: Which frames make a clip.
    shown: The size of the crops.
    size: Height and width of the network's views, in pixels.
    axes: Sizes of the leading axes.
  """
  side = shown.size or size
  shape = (*axes, clips.frames, side, side, 3)
  return jax.ShapeDtypeStruct(shape, jnp.float32)
