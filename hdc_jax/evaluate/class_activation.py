"""What a classifier looks at: class-activation strips of test videos."""

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
from hdc_jax.evaluate import features, frames
from hdc_jax.evaluate.evaluation import Evaluation
from hdc_jax.models import heads
from hdc_jax.report.figures import saliency

SALIENCY = "saliency.png"
_VIDEOS = 6
_FRAMES = 8


@dataclasses.dataclass(frozen=True)
class LinearClassifier:
  """A backbone with a linear classifier of its pooled last endpoint.

  Attributes:
    backbone: From variables and clips to endpoints.
    variables: The backbone's variables, fully replicated.
    kernel: float32 [D, C], of the layer on averages of the D channels.
    bias: float32 [C].
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
  segments: Sequence[Segment],
) -> None:
  """Draws evenly spread videos with what speaks for the class they get.

  Only process 0 does, on a device of its own.

  Args:
    path: The file to write the picture to.
    classifier: What classifies the clips.
    evaluation: The videos, and which clips of them are seen.
    segments: The segments that were tested.
  """
  if jax.process_index():
    return
  view = features.centre_view(evaluation.placement.size)
  key, kernel, names = jax.random.key(0), classifier.kernel, classifier.names

  @jax.jit
  def classify(variables: Any, clips: Any) -> tuple[jax.Array, jax.Array]:
    shown = jax.vmap(lambda y, uv: view(key, geometry.Canvas(y, uv)))(*clips)
    endpoints = classifier.backbone(variables, shown)
    endpoint = endpoints[heads.LAST].astype(jnp.float32)
    averages = heads.average_pool(endpoint, "space_time")[:, 0]
    return endpoint, averages @ kernel + classifier.bias

  spread = np.linspace(0, len(segments) - 1, min(_VIDEOS, len(segments)))
  chosen = [segments[i] for i in spread.astype(int)]
  places = [_middle(evaluation, segment) for segment in chosen]
  cut = [
    evaluation.source[segment.video].read(*place)
    for segment, place in zip(chosen, places, strict=True)
  ]
  clips = tuple(np.stack(planes) for planes in zip(*cut, strict=True))
  variables = jax.device_get(classifier.variables)
  endpoints, scores = jax.device_get(classify(variables, clips))
  examples = []
  for segment, place, endpoint, guess in zip(
    chosen, places, endpoints, scores.argmax(axis=1), strict=True
  ):
    shown = frames.read_rgb(evaluation.source[segment.video], *place)
    heat = saliency.activation_map(endpoint, kernel[:, guess], *shown.shape[:3])
    few = np.linspace(0, len(shown) - 1, min(_FRAMES, len(shown))).astype(int)
    right = bool(guess == segment.label)
    truth = "" if right else f", truly {names[segment.label]}"
    caption = f"{names[guess]}{truth}"
    examples.append(saliency.Example(shown[few], heat[few], caption, right))
  saliency.draw(examples, path)


def _middle(
  evaluation: Evaluation, segment: Segment
) -> tuple[np.ndarray, Window]:
  """Frames and window in the middle of a segment."""
  placement, video = evaluation.placement, evaluation.source[segment.video]
  span = sampling.clip_span(placement.frames, placement.stride)
  start = max(segment.first, (segment.first + segment.stop - span) // 2)
  indices = sampling.clip_indices(
    start, placement.frames, placement.stride, segment.first, segment.stop
  )
  window = sampling.centre_window(video.height, video.width, placement.size)
  return indices, window
