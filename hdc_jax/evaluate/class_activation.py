"""Class-activation maps of a classifier, drawn over frames of test videos."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from hdc_jax.augment import geometry
from hdc_jax.data.clips import sampling
from hdc_jax.data.labels.segments import Segment
from hdc_jax.data.video.frames import Window
from hdc_jax.evaluate import frames
from hdc_jax.evaluate.evaluation import Evaluation, Outputs
from hdc_jax.models import heads
from hdc_jax.report.figures import saliency

SALIENCY = "saliency.png"
_VIDEOS = 6
_FRAMES = 8


@dataclasses.dataclass(frozen=True)
class LinearClassifier:
  """A backbone with a linear layer on the average of its last endpoint.

  Attributes:
    backbone: A function of variables and clips [B, T, S, S, 3] to endpoints by
      name.
    variables: The backbone's variables, replicated over devices.
    kernel: Kernel of the linear layer, from D channels to C classes, float32
      [D, C].
    bias: Bias of the linear layer, float32 [C].
    names: Names of the C classes.
  """

  backbone: Callable[[Any, jax.Array], Mapping[str, jax.Array]]
  variables: Any
  kernel: np.ndarray
  bias: np.ndarray
  names: Sequence[str]


def draw_strips(
  path: epath.PathLike,
  classifier: LinearClassifier,
  evaluation: Evaluation,
  outputs: Outputs,
) -> None:
  """Draws the class-activation maps of the predicted classes of some segments.

  Only process 0 draws, on one device.

  Args:
    path: The file to write the picture to.
    classifier: The classifier.
    evaluation: The videos, and which clips of them are evaluated.
    outputs: The segments that were tested, of which a few evenly spread ones
      are drawn, with their true classes.
  """
  if jax.process_index():
    return
  view = evaluation.view
  key, kernel, names = jax.random.key(0), classifier.kernel, classifier.names

  @jax.jit
  def classify(variables: Any, clips: Any) -> tuple[jax.Array, jax.Array]:
    shown = jax.vmap(lambda y, uv: view(key, geometry.Canvas(y, uv)))(*clips)
    endpoints = classifier.backbone(variables, shown)
    endpoint = endpoints[heads.LAST].astype(jnp.float32)
    averages = heads.average_pool(endpoint, "space_time")[:, 0]
    return endpoint, averages @ kernel + classifier.bias

  last = len(outputs.segments) - 1
  spread = np.linspace(0, last, min(_VIDEOS, last + 1)).astype(int)
  chosen, truths = (
    [column[i] for i in spread]
    for column in (outputs.segments, outputs.classes)
  )
  middles = [_middle_clip(evaluation, segment) for segment in chosen]
  planar = [
    evaluation.source[segment.video].read(*middle)
    for segment, middle in zip(chosen, middles, strict=True)
  ]
  clips = tuple(np.stack(planes) for planes in zip(*planar, strict=True))
  variables = jax.device_get(classifier.variables)
  endpoints, scores = jax.device_get(classify(variables, clips))
  examples = []
  for segment, true, middle, endpoint, predicted in zip(
    chosen, truths, middles, endpoints, scores.argmax(axis=1), strict=True
  ):
    rgb = frames.read_rgb(evaluation.source[segment.video], *middle)
    weights = kernel[:, predicted]
    heat = saliency.activation_map(endpoint, weights, *rgb.shape[:3])
    few = np.linspace(0, len(rgb) - 1, min(_FRAMES, len(rgb))).astype(int)
    correct = predicted in true
    truly = " and ".join(names[number] for number in true) or "none"
    caption = names[predicted] + ("" if correct else f", truly {truly}")
    examples.append(saliency.Example(rgb[few], heat[few], caption, correct))
  saliency.draw(examples, path)


def _middle_clip(
  evaluation: Evaluation, segment: Segment
) -> tuple[np.ndarray, Window]:
  """Frame numbers and window of the clip in the middle of a segment."""
  video = evaluation.source[segment.video]
  placement = evaluation.placement.at_rate_of(video)
  span = sampling.clip_span(placement.frames, placement.stride)
  start = max(segment.first, (segment.first + segment.stop - span) // 2)
  indices = sampling.clip_indices(
    start, placement.frames, placement.stride, segment.first, segment.stop
  )
  window = sampling.centre_window(video.height, video.width, placement.size)
  return indices, window
